import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import type { ClusterOverview } from '../../src/replication/cluster-overview.ts'
import type { NodeComparison } from '../../src/replication/state-comparison.ts'
import type { ProcessResources } from '../../src/sdk/config.ts'
import { ClusterWorld, Deposits } from './cluster-world.ts'
import { CommandLine } from './command-line.ts'
import { type RunningDatabase, until } from './running-database.ts'

const plant = pathToFileURL(join(import.meta.dirname, '..', 'fixtures', 'plants', 'wrong-state.ts')).href
const attestIntervalMs = 200

let world: ClusterWorld
const shell = new CommandLine()
afterEach(() => world.remove())
afterAll(() => shell.remove())

/** What a node says of the other one, once it says something that holds. */
const saidOfOther = (
  node: RunningDatabase,
  what: string,
  holds: (comparison: NodeComparison) => boolean,
): Promise<NodeComparison> =>
  until(what, async () => {
    const nodes = (await node.status())?.attestation?.nodes ?? []
    return nodes.find(holds) ?? null
  })

describe('nodes of a cluster', () => {
  it('compare their states after the same entries, also when the other one leads', async () => {
    world = new ClusterWorld({}, { journal: { attestIntervalMs } })
    await world.start()
    const deposits = new Deposits(await world.connect())
    const agreement = async (): Promise<number> => {
      const seen = await Promise.all(
        world.nodes.map((node) => saidOfOther(node, 'an agreement', ({ agreedLsn }) => agreedLsn > 0)),
      )
      expect(seen).toMatchObject([
        { node: 'b', difference: null },
        { node: 'a', difference: null },
      ])
      return Math.max(...seen.map(({ agreedLsn }) => agreedLsn))
    }
    const before = await agreement()
    const { leader, epoch } = await world.leader()
    await leader.killAll()
    await world.leader(epoch)
    await leader.start()
    await saidOfOther(leader, 'an agreement under the other leader', ({ agreedLsn }) => agreedLsn > before)
    expect(await agreement()).toBeGreaterThan(before)
    await deposits.end()
    for (const node of world.nodes) {
      expect((await node.status())?.degraded).toBe(false)
      expect(node.logged('has another state')).toEqual([])
    }
  })

  it('say so on both where all processes of one of them went wrong alike', async () => {
    const resources: ProcessResources = { nodeOptions: ['--import', plant], env: { PLANT_AFTER: '300' } }
    world = new ClusterWorld({}, { journal: { attestIntervalMs } }, (nodeId) => (nodeId === 'b' ? resources : {}))
    await world.start()
    const deposits = new Deposits(await world.connect())
    const isOdd = ({ difference }: NodeComparison): boolean => difference !== null
    const [here, there] = await Promise.all(world.nodes.map((node) => saidOfOther(node, 'a difference', isOdd)))
    await deposits.end()
    expect(here?.node).toBe('b')
    expect(there).toEqual({
      node: 'a',
      agreedLsn: here?.agreedLsn,
      difference: { lsn: here?.difference?.lsn, hash: here?.difference?.ownHash, ownHash: here?.difference?.hash },
    })
    await until('the hashes of both after the same entry', async () => {
      const { stdout } = await shell.run('cluster', 'status', '--metadata', world.metadata, '--json')
      const { nodes } = JSON.parse(stdout) as ClusterOverview
      const [one, other] = nodes.map(({ attested }) => attested)
      return one != null && one.lsn === other?.lsn && one.hash !== other.hash
    })
    for (const node of world.nodes) {
      await until('it to be degraded by nothing else', async () => {
        const status = await node.status()
        const { divergences, quarantined = [] } = status?.attestation ?? {}
        return status?.degraded === true && divergences === 0 && quarantined.length === 0
      })
      // Children's last words repeat them.
      const lines = node
        .logged('has another state than this one')
        .filter((line) => line['process'] === 'journal-writer')
      expect(lines).toHaveLength(1)
      await until('a status that says so', async () =>
        (await shell.run('status', '--data-dir', node.dataDir)).stdout.includes('HAS ANOTHER STATE'),
      )
    }
  })
})
