import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClusterOverview } from '../../src/replication/cluster-overview.ts'
import { Authority, ownAddress } from '../fixtures/certificates.ts'
import { ClusterHosts } from './cluster-hosts.ts'
import type { RunningDatabase } from './running-database.ts'

/** Where a host listens, with room for its journal servers behind it. */
function hostAddress(): string {
  const address = ownAddress()
  for (let server = 0; server < 2; server++) ownAddress()
  return address
}

/** Two journal servers on one host, and node a, reached by TLS. */
describe('a cluster with certificates', () => {
  let hosts: ClusterHosts
  let s: RunningDatabase
  let a: RunningDatabase
  const authorities = new Map<string, Authority>()
  const [ip = ''] = ownAddress().split(':')
  const servers = { listen: hostAddress() }

  const authority = (name: string): Authority => {
    const known = authorities.get(name)
    if (known !== undefined) return known
    const directory = join(hosts.directory, name)
    mkdirSync(directory)
    const made = new Authority(directory, name)
    authorities.set(name, made)
    return made
  }

  beforeAll(async () => {
    hosts = new ClusterHosts({ policy: { replicas: 1, ackQuorum: 1 }, master: false })
    const tls = authority('ours').files('ours', 2, ip)
    s = hosts.servers('s', 2, { ...servers, tls })
    a = hosts.node('a', { listen: hostAddress(), tls })
    await Promise.all([s.start(), a.start()])
    await hosts.until('both servers', ({ servers }) => servers.length === 2)
  })
  afterAll(() => hosts.remove())

  it('refuses a node that has none at once, and says where they are needed', async () => {
    const dataDir = join(hosts.directory, 'empty')
    const replicated = ['--journal', 'replicated', '--node-id', 'b', '--metadata', hosts.metadata]
    const result = await hosts.cli.run('start', '--data-dir', dataDir, '--no-http', ...replicated)
    expect(result).toMatchObject({ exitCode: 2, stdout: expect.not.stringContaining('ready') })
    const lines = result.stderr.split('\n').filter((line) => !line.includes('no application is loaded'))
    expect(lines).toEqual([
      expect.stringMatching(
        /journal server s-1 .* is at tls:\/\/\S+:\d+, which needs certificates.*--replication-tls-ca/,
      ),
      '',
    ])
    expect(existsSync(dataDir)).toBe(false)
  })

  describe('is shown by the command line as silent, with the reason,', () => {
    const text = async (verb: string, ...args: readonly string[]): Promise<readonly string[]> => {
      const { exitCode, stderr } = await hosts.cli.run('cluster', verb, '--metadata', hosts.metadata, ...args)
      expect(exitCode).toBe(0)
      return stderr.split('\n').slice(0, -1)
    }
    const flagsOf = ({ ca, cert, key }: { readonly ca: string; readonly cert: string; readonly key: string }) => [
      ...['--replication-tls-ca', ca, '--replication-tls-cert', cert, '--replication-tls-key', key],
    ]
    const reached = (what: string, why: string) =>
      expect.stringMatching(new RegExp(`^commanderdb: ${what} was not reached: .*${why}`))
    const each = (why: string) => [reached('journal server s-1', why), reached('journal server s-2', why)]
    /** Paths that the others know as those of their host. */
    const ours = () => flagsOf(authority('ours').files('cli', 2, ip))

    it('where it has no certificate', async () => {
      const why = 'tls://.* needs certificates, and none are given: .*--replication-tls-ca'
      expect(await text('servers')).toEqual(each(why))
      expect(await text('status')).toEqual([reached('node a', why), ...each(why)])
    })

    it('where its certificate, or its authority, is another one', async () => {
      const theirs = authority('theirs').files('cli', 2, ip)
      const foreign = 'the certificate of ours at tls://.* is not accepted: it is of another authority'
      expect(await text('servers', ...flagsOf(theirs))).toEqual(each(foreign))
      // It accepts them, and they do not accept it.
      const mixed = { ...theirs, ca: authority('ours').files('cli', 2, ip).ca }
      const refused = 'the certificate of cli, a client of tls://.*, is not accepted: it is of another authority'
      expect(await text('status', ...flagsOf(mixed))).toEqual([reached('node a', refused), ...each(refused)])
    })

    it('and as up, without a word, where all is well', async () => {
      expect(await text('status', ...ours())).toEqual([])
    })

    it('with --json in what is printed, of a server whose process is not there', async () => {
      await s.killAll()
      const overview = await hosts.json<ClusterOverview>(a, 'status')
      expect(overview.nodes).toMatchObject([{ id: 'a', state: 'up', error: null }])
      expect(overview.servers).toMatchObject([
        { id: 's-1', state: 'silent', error: expect.stringMatching(/^nobody listens at tls:.*ECONNREFUSED/) },
        { id: 's-2', state: 'silent', error: expect.stringMatching(/^nobody listens at tls:.*ECONNREFUSED/) },
      ])
    })
  })
})
