import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { inspectJournal, type JournalSummary, verifyJournal } from '../../src/journal/inspect.ts'
import { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld } from '../unit/journal/journal-world.ts'

/** A segment with three frames, cut behind the last one: what is not there reads as zeros. */
interface Specimen {
  readonly name: string
  readonly bytes: Buffer
  /** Where each frame begins and ends. */
  readonly frames: readonly { readonly from: number; readonly to: number }[]
}

async function specimen(flushEach: boolean): Promise<Specimen> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  for (const bytes of [200, 1200, 400]) {
    append(journal, 1, bytes)
    if (flushEach) flush(world, journal)
  }
  const [{ name } = { name: '' }] = segmentsOf(world.storage.list())
  const frames = [...inspectJournal(world.storage)].flatMap((row) =>
    row.kind === 'frame' ? [{ from: row.offset, to: row.offset + 120 + row.header.payloadBytes }] : [],
  )
  const end = (frames.at(-1)?.to ?? 0) + 200
  return { name, frames, bytes: world.storage.readWhole(name)?.subarray(0, end) ?? Buffer.alloc(0) }
}

function verify({ name }: Specimen, bytes: Buffer, floor = 0): JournalSummary {
  const storage = new MemoryStorage({ scheduler: new JournalWorld().scheduler })
  storage.replace(name, bytes)
  return verifyJournal(storage, lsn(floor))
}

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

let separate: Specimen
let together: Specimen

beforeAll(async () => {
  separate = await specimen(true)
  together = await specimen(false)
})

test('the specimens are what the tests below take them for', () => {
  expect(separate.frames.map(({ from }) => from)).toEqual([4096, 8192, 12_288])
  expect(together.frames.map(({ from }) => from)).toEqual([4096, 4416, 5736])
  for (const whole of [separate, together]) {
    expect(verify(whole, whole.bytes)).toMatchObject({ status: 'ok', rule: 'R8', lastLsn: 3, place: null })
  }
})

// long enough for a machine that does other work too
const timeout = 120_000

describe('a journal cut off at any byte', { timeout }, () => {
  test('ends with its last whole frame, as torn where a part of the next one is left', () => {
    for (const whole of [separate, together]) {
      for (let size = 0; size <= whole.bytes.length; size++) {
        const { status, rule, lastLsn } = verify(whole, whole.bytes.subarray(0, size))
        const kept = whole.frames.filter(({ to }) => to <= size).length
        const torn = size < 4096 || whole.frames.some(({ from, to }) => from < size && size < to)
        expect({ size, status, rule, lastLsn }).toEqual({
          size,
          status: torn ? 'torn' : 'ok',
          rule: torn ? 'R5' : 'R8',
          lastLsn: kept,
        })
      }
    }
  })

  test('is corrupt when all of it had been flushed', () => {
    const end = separate.frames[2]?.to ?? 0
    for (let size = 0; size < end; size++) {
      const { status, rule, place } = verify(separate, separate.bytes.subarray(0, size), 3)
      const kept = separate.frames.filter(({ to }) => to <= size).length
      const partLeft = size < 4096 || separate.frames.some(({ from, to }) => from < size && size < to)
      expect({ size, status, rule, lsn: place?.lsn }).toEqual({
        size,
        status: 'corrupt',
        rule: partLeft ? 'R6' : 'R7',
        lsn: kept + 1,
      })
    }
  })
})

describe('a single flipped bit', () => {
  const frameOf = ({ frames }: Specimen, bit: number): number =>
    frames.findIndex(({ from, to }) => from <= bit >> 3 && bit >> 3 < to)

  test('in the header of a segment with frames is corruption', () => {
    const { frames } = separate
    expect(frames).toHaveLength(3)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4096 * 8 - 1 }), (bit) => {
        for (const whole of [separate, together]) {
          const { status, rule, place } = verify(whole, flipped(whole.bytes, bit))
          expect({ status, rule, lsn: place?.lsn, offset: place?.offset }).toEqual({
            status: 'corrupt',
            rule: 'R6',
            lsn: 1,
            offset: 0,
          })
        }
      }),
      { numRuns: 500 },
    )
  })

  test('in a frame is corruption before other frames, and a torn end in the last one', () => {
    const bits = fc.integer({ min: 0, max: 5 }).chain((index) => {
      const whole = index < 3 ? separate : together
      const { from, to } = whole.frames[index % 3] ?? { from: 0, to: 1 }
      return fc.record({ whole: fc.constant(whole), bit: fc.integer({ min: from * 8, max: to * 8 - 1 }) })
    })
    fc.assert(
      fc.property(bits, ({ whole, bit }) => {
        const index = frameOf(whole, bit)
        const { status, rule, place, lastLsn } = verify(whole, flipped(whole.bytes, bit))
        expect({ status, rule, lastLsn, lsn: place?.lsn, offset: place?.offset }).toEqual({
          status: index < 2 ? 'corrupt' : 'torn',
          rule: index < 2 ? 'R6' : 'R5',
          lastLsn: index,
          lsn: index + 1,
          offset: whole.frames[index]?.from,
        })
      }),
      { numRuns: 2000 },
    )
  })

  test('in the last frame is corruption once that is known to have been flushed', () => {
    const { from, to } = separate.frames[2] ?? { from: 0, to: 1 }
    fc.assert(
      fc.property(fc.integer({ min: from * 8, max: to * 8 - 1 }), (bit) => {
        const { status, rule, place } = verify(separate, flipped(separate.bytes, bit), 3)
        expect({ status, rule, lsn: place?.lsn }).toEqual({ status: 'corrupt', rule: 'R6', lsn: 3 })
      }),
      { numRuns: 500 },
    )
  })

  test('anywhere never invents an entry and never hides one that is sound', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (fraction) => {
        for (const whole of [separate, together]) {
          const bit = Math.floor(fraction * whole.bytes.length * 8)
          const index = frameOf(whole, bit)
          const { lastLsn } = verify(whole, flipped(whole.bytes, bit))
          expect(lastLsn).toBe(bit < 4096 * 8 ? 0 : index < 0 ? 3 : index)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
