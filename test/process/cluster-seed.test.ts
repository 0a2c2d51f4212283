import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { ClusterWorld } from './cluster-world.ts'
import { type RunningDatabase, until } from './running-database.ts'
import { countOf, produce, small, untilTrimmed } from './trimmed-cluster.ts'

describe('a cluster without an archive, whose stream was trimmed', () => {
  let world: ClusterWorld
  let client: Database
  let third: RunningDatabase
  let own: Database
  let trimLsn: number

  beforeAll(async () => {
    world = new ClusterWorld({}, small)
    await world.start()
    client = await world.connect()
    ;({ trimLsn } = await untilTrimmed(world, client, 0))
    third = world.another('c')
  }, 240_000)
  afterAll(() => world.remove())

  it('gives a node that is new the store of another node, which then follows and comes to lead', async () => {
    await third.start()
    expect(third.logged('this node has the store of another one')).toHaveLength(1)
    for (let i = 0; i < 3; i++) await produce(client)
    const count = await countOf(client)
    own = await third.connect()
    // Read from the store of the third node, as far as it has applied.
    await until('the third node to have everything', async () => (await countOf(own)) === count)
    expect((await third.status())?.role).toBe('follower')
    expect(readdirSync(third.dataDir).filter((name) => name.startsWith('store-'))).toEqual([])
    for (const node of world.nodes) await node.killAll()
    await until('the third node to lead', async () => (await third.status())?.role === 'leader')
    await produce(own)
    expect(await countOf(own)).toBe(count + 1)
  })

  it('gives it to a node that was away while the stream went on without it', async () => {
    const { trimLsn: later } = await untilTrimmed(world, own, trimLsn + 60)
    expect(later).toBeGreaterThan(trimLsn)
    const [first] = world.nodes
    await first.start()
    expect((await first.status())?.role).toBe('follower')
    expect(first.logged('this node has the store of another one')).toMatchObject([{ node: 'c' }])
    const count = await countOf(own)
    const back = await first.connect()
    await until('the node to have everything', async () => (await countOf(back)) === count)
  })
})
