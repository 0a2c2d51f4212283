import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { ClusterRegistry } from '../../src/replication/cluster-registry.ts'
import { openMetadataStore } from '../../src/replication/open-metadata-store-adapter.ts'
import { describeWithEtcd } from '../contract/describe-with-etcd.ts'
import { EtcdWorld } from '../contract/etcd-world.ts'
import { Authority, ownAddress } from '../fixtures/certificates.ts'
import { ClusterHosts, failureOf } from './cluster-hosts.ts'
import { Deposits } from './cluster-world.ts'
import { type RunningDatabase, until } from './running-database.ts'

/** Where a host listens, with room for its journal servers behind it. */
function hostAddress(): string {
  const address = ownAddress()
  for (let server = 0; server < 4; server++) ownAddress()
  return address
}

/** etcd; two journal servers on one host and one device, reached by TLS; node a leads, and keeps one replica; node b is down. */
describeWithEtcd('a cluster that something is wrong with', () => {
  let etcd: EtcdWorld
  let hosts: ClusterHosts
  let theirs: Authority
  let a: RunningDatabase
  let b: RunningDatabase
  let deposits: Deposits
  const [ip = ''] = ownAddress().split(':')

  beforeAll(async () => {
    etcd = await EtcdWorld.start(1)
    const authority = (name: string): Authority => {
      const directory = join(etcd.directory, name)
      mkdirSync(directory)
      return new Authority(directory, name)
    }
    theirs = authority('another authority')
    hosts = new ClusterHosts({
      metadata: `etcd://${etcd.endpoints[0]}/ours`,
      tls: authority('ours').files('ours', 2, ip),
      policy: { replicas: 1, ackQuorum: 1 },
      master: false,
    })
    const s = hosts.servers('s', 2, { listen: hostAddress() })
    a = hosts.node('a', { listen: hostAddress() })
    b = hosts.node('b', { listen: hostAddress() })
    await Promise.all([s.start(), a.start()])
    await hosts.until('node a to lead', ({ stream, servers }) => stream?.isLed === true && servers.length === 2)
    await b.start()
    await b.killAll()
    deposits = new Deposits(await hosts.connect(a), 4)
  })
  afterAll(async () => {
    await hosts?.remove()
    await etcd?.stop()
  })

  const start = async (dataDir: string, ...args: readonly string[]) => {
    const replicated = ['--journal', 'replicated', '--node-id', 'd', '--replication-dev', 'true', '--no-http']
    return failureOf(await hosts.cli.run('start', '--data-dir', dataDir, ...replicated, ...args))
  }
  const emptyDirectory = (): string => join(hosts.directory, 'empty')
  const refused = async (...args: readonly string[]) => failureOf(await hosts.run(a, ...args))

  it('puts no two members of a group on one device', async () => {
    const before = (await hosts.status()).stream
    expect(await refused('reconfigure', '--replicas', '2')).toMatchObject({
      exitCode: 1,
      code: 'policy_unsatisfiable',
      message: expect.stringMatching(/s-1, s-2 share the device \S+ of .*--replication-dev/),
    })
    expect((await hosts.status()).stream?.open).toEqual(before?.open)
  })

  it('does not start with a policy that nobody can hold', async () => {
    const policy = ['--replication-policy-replicas', '2', '--replication-policy-ack-quorum', '3']
    const { exitCode, message } = await start(emptyDirectory(), '--metadata', hosts.metadata, ...policy)
    expect(exitCode).toBe(2)
    expect(message).toContain('replication.policy.ackQuorum')
  })

  it('takes nobody in who is of another cluster', async () => {
    const other = `etcd://${etcd.endpoints[0]}/theirs`
    const environment = createSystemEnvironment()
    const store = await openMetadataStore(other, environment)
    await new ClusterRegistry(store, environment).join('another-cluster')
    await store.close()
    const foreign = { exitCode: 1, message: expect.stringContaining('is of cluster') }
    expect(await start(emptyDirectory(), '--metadata', hosts.metadata, '--replication-cluster-id', 'x')).toMatchObject(
      foreign,
    )
    expect(await start(b.dataDir, '--metadata', other)).toMatchObject(foreign)
    // A member makes no cluster anew where its own was lost.
    expect(await start(b.dataDir, '--metadata', `${other}-not`)).toMatchObject({
      exitCode: 1,
      message: expect.stringContaining('holds no cluster, and this host is a member'),
    })
    expect(await refused('status', '--metadata', other)).toMatchObject({ ...foreign, code: 'foreign_cluster' })
    expect(await refused('status', '--metadata', `${other}-not`)).toMatchObject({ exitCode: 1, code: 'not_found' })
  })

  it('has nothing to do with a journal server or a node whose certificate is from elsewhere, and all say why', async () => {
    const listen = hostAddress()
    const server = hosts.servers('x', 1, { listen, tls: theirs.files('x', 2, ip) })
    const node = hosts.node('c', { listen: hostAddress(), tls: theirs.files('c', 2, ip) })
    server.launch()
    node.launch()
    await hosts.until('the server from elsewhere', ({ servers }) => servers.some(({ id }) => id === 'x-1'))
    const { servers } = await hosts.status()
    expect(servers.map(({ id, state }) => [id, state])).toEqual([
      ['s-1', 'up'],
      ['s-2', 'up'],
      ['x-1', 'silent'],
    ])
    expect(await refused('reconfigure', '--group', 'x-1')).toMatchObject({
      code: 'policy_unsatisfiable',
      message: expect.stringContaining('x-1 does not answer'),
    })
    const saysWhy = (host: RunningDatabase): Promise<boolean> =>
      until(
        'the reason',
        () => /no connection to journal server/.test(host.log) && /authority|certificate/.test(host.log),
      )
    expect(await Promise.all([saysWhy(a), saysWhy(node)])).toEqual([true, true])
    await deposits.more(20)
    expect((await hosts.status()).stream?.leader?.id).toBe('a')
    await Promise.all([server.killAll(), node.killAll()])
  })

  it('goes on with its leader while the metadata store is down, which the command line and whoever starts says', async () => {
    await etcd.kill(0)
    await deposits.more(50)
    const unavailable = { exitCode: 1, message: expect.stringContaining('in the metadata store etcd://') }
    b.launch()
    const [status, seal, newcomer] = await Promise.all([
      refused('status'),
      refused('seal'),
      // Whoever comes for the first time is told at once, a member waits.
      start(emptyDirectory(), '--metadata', hosts.metadata),
    ])
    expect(status).toMatchObject({ ...unavailable, code: 'metadata_unavailable' })
    expect(seal).toMatchObject({ ...unavailable, code: 'metadata_unavailable' })
    expect(newcomer).toMatchObject(unavailable)
    await until('b to wait', () => /in the metadata store .*; trying again for \d+ s/.test(b.log))
    await deposits.more(50)
    await etcd.restart(0)
    await b.ready()
    await deposits.more(20)
    await hosts.until('both nodes', ({ nodes, stream }) => nodes.length === 2 && stream?.isLed === true)
  })

  it('has lost nothing that was acknowledged, and done nothing twice', async () => {
    await deposits.end()
    expect(await deposits.balances()).toEqual(deposits.acknowledged)
  })
})
