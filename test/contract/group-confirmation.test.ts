import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lsn } from '../../src/kernel/identifiers.ts'
import { type MetadataStore, metadataKeys, type SwapResult } from '../../src/replication/metadata-store.ts'
import type { ReplicatedStreams } from '../../src/replication/replicated-streams.ts'
import { openSegmentOf, type StreamMeta } from '../../src/replication/stream-meta.ts'
import { decodeStreamMeta } from '../../src/replication/stream-meta-codec.ts'
import { ReplicatedWorld } from './replicated-world.ts'

const stream = 'orders'
let world: ReplicatedWorld

beforeEach(async () => {
  world = await ReplicatedWorld.open(4)
})
afterEach(() => world.remove())

async function record(): Promise<StreamMeta> {
  return decodeStreamMeta((await world.metadata.get(metadataKeys.stream(stream)))?.value ?? '')
}

const groupOf = (meta: StreamMeta): readonly string[] => openSegmentOf(meta)?.group ?? []

/** What happens right before a swap of the stream's record that names a group, and right after it. */
interface Around {
  before(group: readonly string[]): Promise<void>
  after(group: readonly string[]): Promise<void>
}

/** The store of the cluster, with somebody who acts at the worst moment. */
function watched(around: Partial<Around>): MetadataStore {
  const { metadata } = world
  const swap: MetadataStore['compareAndSwap'] = async (key, revision, value, options): Promise<SwapResult> => {
    const group = key === metadataKeys.stream(stream) && value !== null ? groupOf(decodeStreamMeta(value)) : []
    if (group.length > 0) await around.before?.(group)
    const result = await metadata.compareAndSwap(key, revision, value, options)
    if (group.length > 0 && result.swapped) await around.after?.(group)
    return result
  }
  return {
    location: metadata.location,
    get: (key) => metadata.get(key),
    list: (prefix) => metadata.list(prefix),
    compareAndSwap: swap,
    watch: (prefix, handlers) => metadata.watch(prefix, handlers),
    lease: (ttlMs) => metadata.lease(ttlMs),
    close: async () => {},
  }
}

async function led(metadata: MetadataStore): Promise<ReplicatedStreams> {
  const node = await world.node('one', { metadata })
  await node.createStream(stream)
  await node.campaign(stream)
  for await (const { role } of node.observeState(stream)) if (role === 'leader') break
  return node
}

describe('a group that a record names', () => {
  it('counts for nothing when a member was deregistered before: an election goes on to another group', async () => {
    let gone: string | null = null
    const node = await led(
      watched({
        before: async ([first]) => {
          if (gone !== null || first === undefined) return
          gone = first
          expect(await world.registry.deregister(first)).toEqual({ state: 'gone' })
        },
      }),
    )
    const writer = await node.openStreamWriter(stream)
    const { first, epoch } = await writer.append([Buffer.from('a')])
    const meta = await record()
    expect(first).toBe(1)
    // The group with the one that is gone held nothing that counts: its segment is left out of the record.
    expect(meta.segments).toHaveLength(1)
    expect(groupOf(meta)).not.toContain(gone)
    expect(groupOf(meta)).toHaveLength(3)
    expect(epoch).toBeLessThanOrEqual(meta.epoch)
    expect(meta.epoch).toBe(2)
  })

  it('counts for nothing when a member lost its disk and was registered anew: what it acknowledges is of somebody else', async () => {
    let wiped: string | null = null
    const node = await led(
      watched({
        before: async ([first]) => {
          if (wiped !== null || first === undefined) return
          wiped = first
          await world.registry.deregister(first)
          await world.servers.find(({ id }) => id === first)?.stop()
          world.wipe(first)
          await world.startServer(first)
        },
      }),
    )
    const writer = await node.openStreamWriter(stream)
    const appended = await Promise.all(Array.from({ length: 20 }, (_, n) => writer.append([Buffer.from(`${n}`)])))
    expect(appended.at(-1)).toMatchObject({ last: 20 })
    const meta = await record()
    expect(meta.epoch).toBe(2)
    // All of it is on servers that are registered now, as they are registered.
    const registered = await world.registry.servers()
    const holders = world.servers.filter(({ id, log }) => {
      const isKnown = registered.some((one) => one.id === id && one.identity === log.identity.identity)
      return isKnown && groupOf(meta).includes(id) && (log.segments(stream).at(-1)?.flushed ?? 0) >= 20
    })
    expect(holders.length).toBeGreaterThanOrEqual(2)
  })

  it('counts for nothing when a member that is new in it is about to leave: a roll goes on to another group', async () => {
    await world.startServer('s5')
    let former: readonly string[] | null = null
    let leaving: string | null = null
    const node = await led(
      watched({
        after: async (group) => {
          const fresh = group.find((id) => former !== null && !former.includes(id))
          if (leaving !== null || fresh === undefined) return
          leaving = fresh
          expect(await world.registry.deregister(fresh)).toMatchObject({ state: 'leaving' })
        },
      }),
    )
    const writer = await node.openStreamWriter(stream)
    await writer.append([Buffer.from('a')])
    former = groupOf(await record())
    await world.registry.deregister(former[0] as string)
    // Until the node has heard of that, it chooses the same group again.
    while (leaving === null) await writer.roll()
    const { last } = await writer.append([Buffer.from('b')])
    const meta = await record()
    expect(groupOf(meta)).not.toContain(leaving)
    expect(groupOf(meta)).toHaveLength(3)
    expect(meta.segments.map(({ base }) => base)).toEqual([1, 2])
    const reader = await node.openStreamReader(stream)
    const read: number[] = []
    for await (const batch of reader.read(lsn(1))) read.push(batch.firstLsn)
    expect([last, read]).toEqual([2, [1, 2]])
  })

  it('stays without anything that counts while no other one can be had, and goes on when there is one', async () => {
    let isDone = false
    const node = await led(
      watched({
        before: async (group) => {
          if (isDone) return
          isDone = true
          await world.registry.deregister('s4').catch(() => {})
          const [first] = group.filter((id) => id !== 's4')
          await world.registry.deregister(first as string)
        },
      }),
    )
    const writer = await node.openStreamWriter(stream)
    let isCommitted = false
    const append = writer.append([Buffer.from('a')]).then(() => {
      isCommitted = true
    })
    // Its servers have flushed it all the same.
    for (;;) {
      const flushed = world.servers.map(({ log }) => log.segments(stream).at(-1)?.flushed ?? 0)
      if (flushed.filter((at) => at === 1).length >= 2) break
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const reader = await node.openStreamReader(stream)
    expect([isCommitted, await reader.tail('known')]).toEqual([false, 0])
    await world.startServer('s5')
    await append
    expect(groupOf(await record())).toContain('s5')
  })

  it('of a sealed segment is made whole again when one that helped to repair it was deregistered before it was named', async () => {
    for (const id of ['s5', 's6']) await world.startServer(id)
    const policy = { replicas: 3, ackQuorum: 3, topology: 'fanout' } as const
    const former = await world.node('one', { policy })
    await former.createStream(stream)
    await former.campaign(stream)
    for await (const { role } of former.observeState(stream)) if (role === 'leader') break
    await (await former.openStreamWriter(stream)).append([Buffer.from('acknowledged')])
    const [kept, ...lost] = groupOf(await record()) as [string, string, string]
    await former.close()
    for (const id of lost) await world.servers.find((server) => server.id === id)?.stop()
    let gone: string | null = null
    const metadata = watched({
      before: async (group) => {
        const added = group.find((id) => id !== kept && !lost.includes(id))
        if (gone !== null || added === undefined) return
        gone = added
        await world.registry.deregister(added)
      },
    })
    const next = await world.node('two', { policy, metadata })
    await next.campaign(stream)
    for await (const { role } of next.observeState(stream)) if (role === 'leader') break
    await (await next.openStreamWriter(stream)).append([Buffer.from('by the next one')])
    expect(gone).not.toBeNull()
    const sealedGroup = async (): Promise<readonly string[]> => (await record()).segments[0]?.group ?? []
    while ((await sealedGroup()).includes(gone as unknown as string))
      await new Promise((resolve) => setTimeout(resolve, 20))
    const holders = await sealedGroup()
    expect([holders.length, holders.includes(kept)]).toEqual([3, true])
    for (const id of holders)
      expect(world.servers.find((server) => server.id === id)?.log.segments(stream)[0]).toMatchObject({ flushed: 1 })
  })
})
