import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Lsn, lsn } from '../../src/kernel/identifiers.ts'
import { limits } from '../../src/kernel/limits.ts'
import type { Suggestion } from '../../src/replication/master-state.ts'
import { metadataKeys } from '../../src/replication/metadata-store.ts'
import type { ReplicatedStreams } from '../../src/replication/replicated-streams.ts'
import type { StreamWriter } from '../../src/replication/single-write-journal.ts'
import { openSegmentOf } from '../../src/replication/stream-meta.ts'
import { decodeStreamMeta } from '../../src/replication/stream-meta-codec.ts'
import { encodeSuggestion, nothingSuggested } from '../../src/replication/suggestion.ts'
import { readRefusal, removeRefusal } from '../../src/replication/suggestion-refusal.ts'
import { ReplicatedWorld } from './replicated-world.ts'

const stream = 'orders'
let world: ReplicatedWorld
let one: ReplicatedStreams
let writer: StreamWriter

async function open(servers: number): Promise<void> {
  world = await ReplicatedWorld.open(servers)
  one = await world.node('one')
  await one.createStream(stream)
  writer = await led(one)
}

beforeEach(() => open(4))
afterEach(() => world.remove())

async function led(node: ReplicatedStreams): Promise<StreamWriter> {
  await node.campaign(stream)
  for await (const { role } of node.observeState(stream)) if (role === 'leader') break
  return node.openStreamWriter(stream)
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function group(): Promise<readonly string[]> {
  const meta = decodeStreamMeta((await world.metadata.get(metadataKeys.stream(stream)))?.value ?? '')
  return openSegmentOf(meta)?.group ?? []
}

async function suggest(suggestion: Suggestion): Promise<void> {
  const key = metadataKeys.suggestion(stream)
  const found = await world.metadata.get(key)
  await world.metadata.compareAndSwap(key, found?.revision ?? 0, encodeSuggestion(suggestion))
}

const stop = async (id: string): Promise<void> => world.servers.find((server) => server.id === id)?.stop()

/** How far the server has flushed what the stream holds, over all its segments, without a gap. */
const flushedOn = (id: string): Lsn =>
  world.servers
    .find((server) => server.id === id)
    ?.log.segments(stream)
    .reduce((end, { base, flushed }) => (base <= end + 1 && flushed > end ? flushed : end), lsn(0)) ?? lsn(0)

describe('a replicated stream', () => {
  it('brings up a server that was away for longer than the leader remembers, out of what others have', async () => {
    const [away] = await group()
    await stop(away as string)
    const payload = Buffer.alloc(500_000, 1)
    const count = Math.ceil(limits.bridgeBytesMax / payload.length) + 4
    for (let n = 0; n < count; n++) await writer.append([payload])
    await world.startServer(away as string)
    await until(() => flushedOn(away as string) === count)
  })

  it('brings up a server in what a former leader appended, which the present one never held', async () => {
    const [away] = await group()
    await writer.append([Buffer.from('with all')])
    await stop(away as string)
    for (let n = 0; n < 20; n++) await writer.append([Buffer.from(`without ${n}`)])
    await one.resign(stream)
    const two = await world.node('two')
    const next = await led(two)
    const { last } = await next.append([Buffer.from('by another')])
    await world.startServer(away as string)
    await until(async () => flushedOn(away as string) >= last - 1)
    const reader = await two.openStreamReader(stream)
    let read = 0
    for await (const { entryCount } of reader.read(lsn(1))) read += entryCount
    expect(read).toBe(last)
  })

  it('goes to the node that the master suggests, with all that was under way', async () => {
    const two = await world.node('two')
    await two.campaign(stream)
    const appends = Array.from({ length: 30 }, (_, n) => writer.append([Buffer.from(`${n}`)]))
    const acknowledged = Promise.allSettled(appends)
    await suggest({ ...nothingSuggested, epoch: one.state(stream).epoch, leader: 'two' })
    for await (const { role } of two.observeState(stream)) if (role === 'leader') break
    const kept = (await acknowledged).filter(({ status }) => status === 'fulfilled').length
    const { first } = await (await two.openStreamWriter(stream)).append([Buffer.from('next')])
    expect(first).toBeGreaterThan(kept)
    // It goes on wanting to lead, and takes over when the other one ends.
    await world.close(two)
    for await (const { role, epoch } of one.observeState(stream)) if (role === 'leader' && epoch > 2) break
    expect(await writer.append([Buffer.from('again')])).toMatchObject({ first: first + 1 })
  })

  it('moves to the group that the master suggests', async () => {
    await writer.append([Buffer.from('a')])
    const before = await group()
    const other = world.servers.map(({ id }) => id).find((id) => !before.includes(id)) as string
    const wanted = [...before.slice(1), other]
    await suggest({ ...nothingSuggested, epoch: one.state(stream).epoch, group: wanted })
    await until(async () => [...(await group())].sort().join() === [...wanted].sort().join())
    expect(await writer.append([Buffer.from('b')])).toMatchObject({ first: 2, epoch: 2 })
    await until(
      () =>
        flushedOn(other) === 0 &&
        world.servers.some(({ id, log }) => id === other && log.segments(stream).at(-1)?.flushed === 2),
    )
  })

  it('says why it does not do what is suggested', async () => {
    const epoch = one.state(stream).epoch
    await suggest({ ...nothingSuggested, epoch, group: ['s1', 's2', 'nobody'] })
    await until(async () => (await readRefusal(world.metadata, stream)) !== null)
    expect(await readRefusal(world.metadata, stream)).toMatchObject({
      epoch,
      why: expect.stringMatching(/nobody: not registered/),
    })
    await removeRefusal(world.metadata, stream)
    await suggest({ ...nothingSuggested, epoch, group: ['s1', 's2', 'nobody'] })
    await until(async () => (await readRefusal(world.metadata, stream)) !== null)
  })

  it('is not made where the policy cannot be kept', async () => {
    for (const id of ['s1', 's2']) {
      await stop(id)
      await world.registry.deregister(id)
    }
    await expect(one.createStream('invoices')).rejects.toMatchObject({ code: 'policy_unsatisfiable' })
  })
})
