import { beforeEach, describe, expect, it } from 'vitest'
import {
  MemoryMetadata,
  type MemoryMetadataLink,
  type MetadataCall,
  type MetadataFault,
} from '../../../src/replication/memory-metadata-store.ts'
import type { MetadataStore } from '../../../src/replication/metadata-store.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'
import { WatchDiary } from '../../contract/metadata-store-contract.ts'

let time: VirtualTime
let metadata: MemoryMetadata
let fault: (call: MetadataCall) => MetadataFault | null
let store: MetadataStore
let faulty: MetadataStore

const open = (link: MemoryMetadataLink = {}): MetadataStore => metadata.open({ delayMs: () => 5, ...link })

beforeEach(() => {
  const random = new SeededRandom(1)
  time = new VirtualTime(random)
  metadata = new MemoryMetadata({
    clock: { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs },
    scheduler: {
      after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }),
      soon: (run) => void time.after(0, run),
    },
  })
  fault = () => null
  store = open()
  faulty = open({ fault: (call) => fault(call) })
})

/** Lets virtual time pass until the promise is settled. */
async function settled<Result>(promise: Promise<Result>): Promise<Result> {
  let isSettled = false
  const done = (): void => {
    isSettled = true
  }
  promise.then(done, done)
  await time.run(Number.POSITIVE_INFINITY, () => isSettled)
  return promise
}

const pass = (durationMs: number): Promise<boolean> => time.run(time.nowMs + durationMs, () => false)

describe('a metadata store in memory', () => {
  it('takes its time there and back, and nothing else does', async () => {
    await settled(store.compareAndSwap('a', 0, '1'))
    expect(time.nowMs).toBe(10)
  })

  it('fails as it is told: before it happens, unknown to anybody, or after it has happened', async () => {
    fault = () => 'refuse'
    await expect(settled(faulty.compareAndSwap('a', 0, '1'))).rejects.toMatchObject({ details: { outcome: 'none' } })
    fault = () => 'loseRequest'
    await expect(settled(faulty.compareAndSwap('a', 0, '1'))).rejects.toMatchObject({ details: { outcome: 'unknown' } })
    expect(await settled(store.get('a'))).toBeNull()
    fault = () => 'loseAnswer'
    await expect(settled(faulty.compareAndSwap('a', 0, '1'))).rejects.toMatchObject({
      code: 'metadata_unavailable',
      retryable: true,
      details: { outcome: 'unknown' },
    })
    expect(await settled(store.get('a'))).toMatchObject({ value: '1' })
  })

  it('reads what it was so many changes ago, and swaps on what it is', async () => {
    for (let n = 0; n < 3; n++) await settled(store.compareAndSwap('a', n, String(n + 1)))
    fault = ({ operation }) => (operation === 'swap' ? null : 2)
    expect(await settled(faulty.get('a'))).toMatchObject({ value: '1', revision: 1 })
    expect(await settled(faulty.list(''))).toMatchObject([{ value: '1' }])
    expect(await settled(faulty.compareAndSwap('a', 1, 'x'))).toMatchObject({ swapped: false, current: { value: '3' } })
  })

  it('shows a watch that is behind nothing older than it has seen, and all of it later', async () => {
    const diary = new WatchDiary(faulty, '')
    for (let n = 0; n < 4; n++) {
      fault = () => (n === 2 ? 3 : null)
      await settled(store.compareAndSwap('a', n, String(n + 1)))
      await pass(5)
    }
    await pass(200)
    const revisions = diary.changes.map(({ value }) => value?.revision ?? 0)
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
    expect(diary.present).toEqual({ a: '4' })
  })

  it('tells a watch that it is lost, and what has changed when it is back', async () => {
    const diary = new WatchDiary(faulty, '')
    await pass(5)
    fault = () => 'refuse'
    await settled(store.compareAndSwap('a', 0, '1'))
    await pass(1000)
    expect([diary.told, diary.losses]).toEqual([[[]], 1])
    fault = () => null
    await pass(1000)
    expect([diary.present, diary.losses]).toEqual([{ a: '1' }, 1])
  })

  it('tells a dead process nothing', async () => {
    let isDead = false
    const mortal = open({ deliver: (run) => (isDead ? undefined : run()) })
    const diary = new WatchDiary(mortal, '')
    let isAnswered = false
    const answered = (): void => {
      isAnswered = true
    }
    mortal.compareAndSwap('a', 0, '1').then(answered, answered)
    isDead = true
    await pass(1000)
    expect([isAnswered, diary.told]).toEqual([false, []])
    expect(await settled(store.get('a'))).toMatchObject({ value: '1' })
  })

  it('ends a lease when its time is over, and tells its holder sooner than anybody else', async () => {
    const lease = await settled(store.lease(1000))
    await settled(store.compareAndSwap('leases/a', 0, 'lives', { lease }))
    for (let n = 0; n < 5; n++) {
      await pass(800)
      expect(await settled(lease.keepAlive())).toBe(890)
    }
    await pass(980)
    expect(await settled(open({ delayMs: () => 1 }).get('leases/a'))).not.toBeNull()
    await pass(20)
    expect(await settled(store.get('leases/a'))).toBeNull()
    expect(await settled(lease.keepAlive())).toBe(0)
  })
})
