import { expect, it } from 'vitest'
import type { Scheduler } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { MemoryMetadata } from '../../../src/replication/memory-metadata-store.ts'
import { settledSwap } from '../../../src/replication/settled-swap.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'

const histories = 50
const rounds = 10

it('knows whether it happened, whatever of it and of its answers is lost, and however late it comes', async () => {
  let faults = 0
  for (let seed = 1; seed <= histories; seed++) {
    const random = new SeededRandom(seed)
    const time = new VirtualTime(random)
    const scheduler: Scheduler = {
      after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }),
      soon: (run) => void time.after(0, run),
    }
    const clock = { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs }
    const metadata = new MemoryMetadata({ clock, scheduler })
    const fault = (): 'refuse' | 'loseRequest' | 'loseAnswer' | null => {
      if (random.chance(0.5)) return null
      faults++
      return random.pick(['refuse', 'loseRequest', 'loseAnswer'])
    }
    /** Values that were told to be there, in the order of their revisions. */
    const told: { readonly revision: number; readonly value: string }[] = []
    const take = async (name: string): Promise<void> => {
      const store = metadata.open({ delayMs: () => random.fraction() * 20, fault })
      for (let n = 0; n < rounds; n++) {
        const current = metadata.image.values.get('key')
        const value = `${name} ${n}`
        const swap = { key: 'key', expectedRevision: current?.revision ?? 0, value, patienceMs: 1e9 }
        const result = await settledSwap(store, { clock, scheduler, random }, swap)
        if (result.swapped) told.push({ revision: result.revision, value })
      }
    }
    /** What was really there, one after the other. */
    const truth: { readonly revision: number; readonly value: string }[] = []
    let ended = 0
    const done = (): void => {
      ended++
    }
    for (const name of ['a', 'b', 'c']) take(name).then(done, done)
    await time.run(Number.POSITIVE_INFINITY, () => {
      const { revision = 0, value = '' } = metadata.image.values.get('key') ?? {}
      if (revision !== (truth.at(-1)?.revision ?? 0)) truth.push({ revision, value })
      return ended === 3
    })
    // One that was replaced before it was settled is not told to have happened.
    for (const one of told) expect(truth, `seed ${seed}`).toContainEqual(one)
    expect(new Set(told.map(({ revision }) => revision)).size).toBe(told.length)
    // The last one stays, so that its sender knows.
    expect(told).toContainEqual(truth.at(-1))
  }
  expect(faults).toBeGreaterThan(histories)
})

it('says that it may have happened when it cannot find out in time', async () => {
  const random = new SeededRandom(1)
  const time = new VirtualTime(random)
  const scheduler: Scheduler = {
    after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }),
    soon: (run) => void time.after(0, run),
  }
  const clock = { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs }
  const attempts: ('loseAnswer' | 'refuse')[] = ['loseAnswer']
  const store = new MemoryMetadata({ clock, scheduler }).open({ fault: () => attempts.shift() ?? 'refuse' })
  let error: unknown
  settledSwap(
    store,
    { clock, scheduler, random },
    { key: 'key', expectedRevision: 0, value: 'nonce', patienceMs: 500 },
  ).catch((thrown: unknown) => {
    error = thrown
  })
  await time.run(10_000, () => error !== undefined)
  expect(error).toBeInstanceOf(CommanderError)
  expect(error).toMatchObject({ code: 'metadata_unavailable', details: { outcome: 'unknown' } })
})
