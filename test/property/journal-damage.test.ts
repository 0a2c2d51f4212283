import { isDeepStrictEqual } from 'node:util'
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

interface Verdict {
  readonly status: string
  readonly rule: string
  readonly lastLsn: number
  /** Of the damage that is named. */
  readonly lsn: number | undefined
  readonly offset: number | undefined
}

/** The row of the recovery table for a flipped bit; `floor` is the LSN that is known to have been flushed. */
function verdictOn({ frames }: Specimen, bit: number, floor: number): Verdict {
  const byte = bit >> 3
  const sound = { status: 'ok', rule: 'R8', lastLsn: 3, lsn: undefined, offset: undefined }
  if (byte < 4096) return { status: 'corrupt', rule: 'R6', lastLsn: 0, lsn: 1, offset: 0 }
  const index = frames.findIndex(({ from, to }) => from <= byte && byte < to)
  const isBehind = byte >= (frames[2]?.to ?? 0)
  if (isBehind) return { ...sound, status: 'torn', rule: 'R5', lsn: 4, offset: frames[2]?.to }
  // Between frames nothing is said: the next one begins at the next block, wherever the one before it ended.
  if (index < 0) return sound
  const isTorn = index === 2 && floor < 3
  return {
    status: isTorn ? 'torn' : 'corrupt',
    rule: isTorn ? 'R5' : 'R6',
    lastLsn: index,
    lsn: index + 1,
    offset: frames[index]?.from,
  }
}

describe('a single flipped bit, whichever it is of all,', { timeout }, () => {
  const cases: [string, () => Specimen, number][] = [
    ['of frames in blocks of their own', () => separate, 0],
    ['of frames side by side', () => together, 0],
    ['of frames that are known to have been flushed', () => separate, 3],
  ]

  test.each(cases)('%s is called what the recovery table says', (_what, specimenOf, floor) => {
    const whole = specimenOf()
    const wrong: unknown[] = []
    for (let bit = 0; bit < whole.bytes.length * 8; bit++) {
      const { status, rule, lastLsn, place } = verify(whole, flipped(whole.bytes, bit), floor)
      const found = { status, rule, lastLsn, lsn: place?.lsn as number | undefined, offset: place?.offset }
      const expected = verdictOn(whole, bit, floor)
      if (!isDeepStrictEqual(found, expected)) wrong.push({ bit, found, expected })
      if (wrong.length > 9) break
    }
    expect(wrong).toEqual([])
  })
})
