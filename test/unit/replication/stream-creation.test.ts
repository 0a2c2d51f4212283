import { beforeEach, describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { systemClock, systemRandom, wakefulScheduler } from '../../../src/kernel/system-environment.ts'
import { MemoryMetadata, type MetadataFault } from '../../../src/replication/memory-metadata-store.ts'
import { type MetadataStore, metadataKeys } from '../../../src/replication/metadata-store.ts'
import {
  createStreamBehind,
  createStreamRecord,
  deleteStreamRecord,
  foundOrCreated,
} from '../../../src/replication/stream-creation.ts'
import { elected, opened, sealedEndOf } from '../../../src/replication/stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'

const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }
const stream = 'orders'
const key = metadataKeys.stream(stream)

let store: MetadataStore
let faults: (MetadataFault | null)[]

beforeEach(() => {
  faults = []
  store = new MemoryMetadata(world).open({
    fault: ({ operation }) => (operation === 'swap' ? (faults.shift() ?? null) : null),
  })
})

const create = () => createStreamRecord(store, world, stream)
const epochNow = async (): Promise<number> => decodeStreamMeta((await store.get(key))?.value ?? '').epoch

async function rises(by: number): Promise<void> {
  const found = await store.get(key)
  const meta = decodeStreamMeta(found?.value ?? '')
  await store.compareAndSwap(key, found?.revision ?? 0, encodeStreamMeta({ ...meta, epoch: epoch(meta.epoch + by) }))
}

describe('the record of a stream', () => {
  it('is made by one of those who want to, and found by the others', async () => {
    const made = await Promise.all([create(), create(), create()])
    expect(made.filter((one) => one !== null)).toHaveLength(1)
    expect(await create()).toBeNull()
    expect(await foundOrCreated(store, world, stream)).toEqual(await store.get(key))
  })

  it('is known to be made though the answer was lost', async () => {
    faults = ['loseAnswer', 'loseAnswer']
    expect(await create()).toEqual(await store.get(key))
  })

  it('of a name that was used before goes on above the epochs that it had', async () => {
    await create()
    await rises(6)
    expect(await deleteStreamRecord(store, world, stream)).toBe(7)
    expect(await store.get(key)).toBeNull()
    await create()
    expect(await epochNow()).toBe(7)
    await rises(1)
    expect(await deleteStreamRecord(store, world, stream)).toBe(9)
    await create()
    expect(await epochNow()).toBe(9)
  })

  it('that goes on behind a database is made anew until somebody has led it, and not when there is another one', async () => {
    const behind = (tail: number) =>
      createStreamBehind(store, world, stream, { tail: lsn(tail), tailDigest: 'ab'.repeat(16) })
    const meta = async () => decodeStreamMeta((await store.get(key))?.value ?? '')
    faults = ['loseAnswer']
    await behind(5)
    expect(sealedEndOf(await meta())).toMatchObject({ tail: 5, tailDigest: 'ab'.repeat(16) })
    await behind(7)
    expect(await meta()).toMatchObject({ trimLsn: 7, begin: { tail: 7 }, epoch: 0, leader: null, segments: [] })
    const found = await store.get(key)
    const leader = { id: 'a', incarnation: 'a#1', address: 'a:1' }
    const led = opened(elected(await meta(), leader, 'n'), 'n', sealedEndOf(await meta()), {
      group: ['s1'],
      policy: { replicas: 1, ackQuorum: 1, topology: 'fanout' },
    })
    expect(led.segments).toMatchObject([{ epoch: 1, base: 8, baseDigest: 'ab'.repeat(16) }])
    await store.compareAndSwap(key, found?.revision ?? 0, encodeStreamMeta(led))
    await expect(behind(7)).rejects.toMatchObject({ code: 'already_exists' })
    expect(await meta()).toEqual(led)
    await deleteStreamRecord(store, world, stream)
    await behind(9)
    expect(await meta()).toMatchObject({ epoch: 2, trimLsn: 9 })
    await deleteStreamRecord(store, world, stream)
    await create()
    await expect(behind(9)).rejects.toMatchObject({ code: 'already_exists' })
  })

  it('is deleted once, and deleted though answers were lost', async () => {
    expect(await deleteStreamRecord(store, world, stream)).toBeNull()
    await create()
    faults = ['loseAnswer', 'loseAnswer', null, 'loseAnswer']
    expect(await deleteStreamRecord(store, world, stream)).toBe(1)
    expect(await store.get(key)).toBeNull()
    expect(await deleteStreamRecord(store, world, stream)).toBeNull()
  })
})
