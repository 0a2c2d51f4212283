import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClusterOverview } from '../../src/replication/cluster-overview.ts'
import { ClusterHosts, failureOf } from './cluster-hosts.ts'
import { Deposits } from './cluster-world.ts'
import type { RunningDatabase } from './running-database.ts'

interface Place {
  readonly epoch: number
  readonly group: readonly string[]
  readonly policy: { readonly replicas: number; readonly ackQuorum: number; readonly topology: string }
}

/** Host s with three journal servers and t with one, nodes a and b; b alone has a master. */
describe('a cluster under load that is operated by the command line', () => {
  let hosts: ClusterHosts
  let s: RunningDatabase
  let t: RunningDatabase
  let a: RunningDatabase
  let b: RunningDatabase
  let deposits: Deposits

  beforeAll(async () => {
    hosts = new ClusterHosts({ dev: true, serverSilenceMs: 1_500 })
    s = hosts.servers('s', 3)
    t = hosts.servers('t', 1)
    a = hosts.node('a', { master: false })
    b = hosts.node('b')
    await Promise.all([s.start(), a.start()])
    await hosts.until('node a to lead', ({ stream }) => stream?.isLed === true)
    await Promise.all([t.start(), b.start()])
    await hosts.until(
      'the master and the fourth server',
      ({ master, servers }) => master === 'b' && servers.length === 4,
    )
    deposits = new Deposits(await hosts.connect(a, b), 4)
    await deposits.more(20)
  })
  afterAll(() => hosts.remove())

  const openOf = ({ stream }: ClusterOverview) => stream?.open
  const pidsOf = async (host: RunningDatabase): Promise<(number | null)[]> =>
    ((await host.status())?.processes ?? []).map(({ pid }) => pid)

  it('says who leads, how far everybody is, and what each server holds', async () => {
    const overview = await hosts.json<ClusterOverview>(b, 'status')
    expect(overview).toMatchObject({
      clusterId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      master: 'b',
      stream: {
        name: 'database',
        leader: { id: 'a' },
        isLed: true,
        open: { base: 1, group: ['s-1', 's-2', 's-3'], policy: { replicas: 3, ackQuorum: 2, topology: 'fanout' } },
      },
      nodes: [
        { id: 'a', role: 'leader' },
        { id: 'b', role: 'follower' },
      ],
      servers: [
        { id: 's-1', state: 'up', isInGroup: true },
        { id: 's-2', state: 'up', isInGroup: true },
        { id: 's-3', state: 'up', isInGroup: true },
        { id: 't-1', state: 'up', isInGroup: false, tail: null, segments: [] },
      ],
    })
    expect(overview.stream?.committed).toBeGreaterThan(20)
    for (const { tail, diskBytes } of overview.servers.slice(0, 3)) {
      expect(tail).toBeGreaterThan(20)
      expect(diskBytes).toBeGreaterThan(0)
    }
    const text = (await hosts.cli.run('cluster', 'status', '--metadata', hosts.metadata)).stdout
    expect(text).toMatch(/^leader +a, epoch \d+$/m)
    expect(text).toMatch(/^s-3 +up +yes +\d+/m)
    const { servers } = await hosts.json<Pick<ClusterOverview, 'servers'>>(s, 'servers')
    expect(servers[0]?.segments).toMatchObject([{ state: 'open', isNamed: true, base: 1, damagedRanges: 0 }])
  })

  it('refuses what cannot be held or is not there, and changes nothing', async () => {
    const before = openOf(await hosts.status())
    const refused = async (...args: readonly string[]) => failureOf(await hosts.run(a, ...args))
    expect(await refused('reconfigure', '--ack-quorum', '4')).toMatchObject({
      exitCode: 2,
      code: 'invalid_config',
      message: expect.stringContaining('1 to 3, the replicas'),
    })
    expect(await refused('reconfigure', '--replicas', '5')).toMatchObject({
      exitCode: 1,
      code: 'policy_unsatisfiable',
      message: expect.stringContaining('wants 5 journal servers, 4 can be had'),
    })
    expect(await refused('reconfigure', '--group', 's-1,s-2')).toMatchObject({
      exitCode: 1,
      code: 'policy_unsatisfiable',
      message: expect.stringContaining('the group has 2 servers, and the policy wants 3 replicas'),
    })
    expect(await refused('promote', 'c')).toMatchObject({ exitCode: 1, code: 'not_found' })
    expect(await refused('deprovision', 'x')).toMatchObject({ exitCode: 1, code: 'not_found' })
    expect(openOf(await hosts.status())).toEqual(before)
  })

  it('has no second node under an id that is taken', async () => {
    const { exitCode, stderr } = await hosts.cli.run(
      ...['start', '--data-dir', join(hosts.directory, 'twin'), '--node-id', 'a', '--no-http'],
      ...['--journal', 'replicated', '--metadata', hosts.metadata, '--replication-dev', 'true'],
    )
    expect(stderr).toMatch(/there is a node a in this cluster already: it is up on .*--node-id/)
    expect(exitCode).toBe(2)
    const { nodes, stream } = await hosts.status()
    expect(nodes.map(({ id, address }) => [id, address.startsWith(join(hosts.directory, 'twin'))])).toEqual([
      ['a', false],
      ['b', false],
    ])
    expect(stream).toMatchObject({ leader: { id: 'a' }, isLed: true })
  })

  it('seals, changes policy and group, and lets another node lead, while commands go on', async () => {
    const sealed = await hosts.json<{ sealed: { base: number; tail: number }; open: Place }>(a, 'seal')
    expect(sealed).toMatchObject({ sealed: { base: 1 }, open: { group: ['s-1', 's-2', 's-3'] } })
    expect(sealed.sealed.tail).toBeGreaterThan(20)
    await deposits.more(10)

    const change = async (...args: readonly string[]) => {
      const { changed, after } = await hosts.json<{ changed: boolean; after: Place }>(b, 'reconfigure', ...args)
      await deposits.more(10)
      return { changed, group: after.group, policy: after.policy }
    }
    const two = { group: ['s-1', 's-2'], policy: { replicas: 2, ackQuorum: 2, topology: 'fanout' } }
    expect(await change('--replicas', '2')).toEqual({ changed: true, ...two })
    const chain = { group: ['s-1', 's-3', 't-1'], policy: { replicas: 3, ackQuorum: 2, topology: 'chain' } }
    expect(await change('--group', 's-1,s-3,t-1', '--replicas', '3', '--topology', 'chain')).toEqual({
      changed: true,
      ...chain,
    })
    // What an operator has set outlives the leader that carried it out, whatever the config of the next one says.
    expect(await hosts.json(a, 'promote', 'b')).toMatchObject({
      changed: true,
      before: { leader: 'a' },
      after: { leader: 'b' },
    })
    await deposits.more(10)
    expect(await hosts.json(a, 'promote', 'b')).toMatchObject({ changed: false })
    expect(await hosts.status()).toMatchObject({ stream: { leader: { id: 'b' }, open: chain } })
    expect(await hosts.json(a, 'promote', 'a')).toMatchObject({ changed: true, after: { leader: 'a' } })
    await deposits.more(10)
  })

  it('provisions a journal server and ends another one for good, of which nothing is needed any more', async () => {
    await hosts.json(a, 'reconfigure', '--group', 's-1,s-2,s-3', '--topology', 'fanout')
    const { provisioned } = await hosts.json<{ provisioned: { id: string }[] }>(s, 'provision', '1')
    const [{ id = '' } = {}] = provisioned
    const pids = await pidsOf(s)
    expect(await hosts.json(s, 'deprovision', 's-1')).toEqual({ deregistered: 's-1', ended: true })
    const { servers, stream } = await hosts.status()
    expect(servers.map((server) => server.id)).toEqual(['s-2', 's-3', id, 't-1'].sort())
    expect(stream?.open?.group).not.toContain('s-1')
    expect(stream?.open?.group).toHaveLength(3)
    expect(existsSync(join(s.dataDir, 'removed', 's-1', 'log'))).toBe(true)
    expect((await pidsOf(s)).length).toBe(pids.length - 1)
    await deposits.more(10)
  })

  it('goes on without a master, and has one replace a server that is silent', async () => {
    await hosts.json(a, 'reconfigure', '--group', 's-2,s-3,t-1')
    const before = openOf(await hosts.status())
    await b.killAll()
    await t.killAll()
    await hosts.until(
      'no master',
      ({ master, servers }) => master === null && servers.some(({ state }) => state === 'silent'),
    )
    await deposits.more(50)
    expect(openOf(await hosts.status())).toEqual(before)
    await b.start()
    const { stream } = await hosts.until('another group', (now) => openOf(now)?.group.includes('t-1') === false)
    expect(stream?.open?.group).toHaveLength(3)
    expect(stream?.epoch).toBeGreaterThan(before?.epoch ?? 0)
    await deposits.more(10)
  })

  it('has lost nothing that was acknowledged, and done nothing twice', async () => {
    await deposits.end()
    expect(await deposits.balances()).toEqual(deposits.acknowledged)
  })
})

it('a node alone gets its journal servers from its master, as many as its policy wants and one spare', async () => {
  const hosts = new ClusterHosts({ dev: true, serverSilenceMs: 1_000, sparesMin: 1 })
  try {
    const a = hosts.node('a')
    await a.start()
    const { servers } = await hosts.until(
      'a leader and a spare',
      ({ stream, servers: all }) =>
        stream?.isLed === true && all.length === 4 && all.every(({ state }) => state === 'up'),
    )
    expect(servers.filter(({ isInGroup }) => isInGroup)).toHaveLength(3)
    const names = (await a.status())?.processes.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(servers.map(({ id }) => `journal-server-${id}`)))
  } finally {
    await hosts.remove()
  }
})
