import { readdirSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { ClusterWorld } from './cluster-world.ts'
import { until } from './running-database.ts'
import { countOf, produce, small, untilTrimmed } from './trimmed-cluster.ts'

let world: ClusterWorld
afterEach(() => world?.remove())

describe('a node that comes to a cluster whose stream was trimmed', () => {
  it('takes the store of another node, follows, and comes to lead with all that was there', async () => {
    world = new ClusterWorld({}, small)
    await world.start()
    const client = await world.connect()
    const { trimLsn } = await untilTrimmed(world, client, 0)
    const third = world.another('c')
    await third.start()
    expect(third.logged('this node has the store of another one')[0]).toMatchObject({ root: expect.any(Number) })
    for (let i = 0; i < 3; i++) await produce(client)
    const count = await countOf(client)
    const own = await third.connect()
    // Read from the store of the third node, as far as it has applied.
    await until('the third node to have everything', async () => (await countOf(own)) === count)
    expect((await third.status())?.role).toBe('follower')
    expect(readdirSync(third.dataDir).filter((name) => name.startsWith('store-'))).toEqual([])
    for (const node of world.nodes) await node.killAll()
    await until('the third node to lead', async () => (await third.status())?.role === 'leader')
    await produce(own)
    expect(await countOf(own)).toBe(count + 1)
    expect(trimLsn).toBeGreaterThan(0)
    // What was away for so long that the stream went on without it takes the store of the third one.
    const { trimLsn: later } = await untilTrimmed(world, own, trimLsn + 60)
    const [first] = world.nodes
    await first.start()
    expect((await first.status())?.role).toBe('follower')
    expect(first.logged('this node has the store of another one').at(-1)).toMatchObject({ node: 'c' })
    expect(later).toBeGreaterThan(trimLsn)
  })
})
