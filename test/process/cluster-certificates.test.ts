import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
    const s = hosts.servers('s', 2, { ...servers, tls })
    a = hosts.node('a', { listen: hostAddress(), tls })
    await Promise.all([s.start(), a.start()])
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
        /journal server s-[12] .* is at tls:\/\/\S+:\d+, which needs certificates.*--replication-tls-ca/,
      ),
      '',
    ])
    expect(existsSync(dataDir)).toBe(false)
  })
})
