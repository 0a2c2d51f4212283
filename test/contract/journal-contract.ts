import { describe, expect, test } from 'vitest'
import type { Journal } from '../../src/journal/journal.ts'
import { defaultJournalOptions, framePayloadBytesMax, type JournalOptions } from '../../src/journal/options.ts'
import { JournalReader } from '../../src/journal/reader.ts'
import type { JournalStorage } from '../../src/journal/storage.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'
import { lsn, noLsn } from '../../src/kernel/identifiers.ts'
import { append, codeOf, type FlushOutcome, payloadOf } from '../unit/journal/journal-world.ts'

export interface JournalFixture {
  readonly journal: Journal
  /** Of the local segments. */
  readonly storage: JournalStorage
  /** Lets background work go on until `isOver`. */
  settle(isOver: () => boolean): Promise<void>
  /** From now on nothing becomes durable any more: whoever waits for it is told. */
  failFlushes(): void
  /** What is on the medium, opened anew; after a close. */
  reopen(): Promise<JournalFixture>
  remove(): void
}

export const contractOptions: JournalOptions = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: 3 << 20 }
const third = 300_000

/** What the journal writer relies on, whatever keeps the entries. */
export function journalContract(name: string, makeFixture: () => Promise<JournalFixture>): void {
  const withJournal = (run: (fixture: JournalFixture) => Promise<void>) => async () => {
    const fixture = await makeFixture()
    try {
      await run(fixture)
    } finally {
      fixture.remove()
    }
  }

  describe(`${name} as a journal`, () => {
    describe('written and flushed', () => writingTests(withJournal))
    describe('room', () => roomTests(withJournal))
    describe('failing and closing', () => endTests(withJournal))
  })
}

type WithJournal = (run: (fixture: JournalFixture) => Promise<void>) => () => Promise<void>

async function flushed({ journal, settle }: JournalFixture): Promise<FlushOutcome> {
  let outcome: FlushOutcome | null = null
  journal.flush((flushedLsn, error) => {
    outcome = { flushedLsn, error }
  })
  await settle(() => outcome !== null)
  return outcome as unknown as FlushOutcome
}

async function closed({ journal, settle }: JournalFixture): Promise<CommanderError | null> {
  let outcome: CommanderError | null | undefined
  journal.close((error) => {
    outcome = error
  })
  await settle(() => outcome !== undefined)
  return outcome ?? null
}

function read({ journal, storage }: JournalFixture): string[] {
  const reader = new JournalReader(storage, journal.firstLsn)
  const batches = reader.read(Number.POSITIVE_INFINITY, journal.writtenLsn)
  reader.close()
  return batches.map(({ firstLsn, entryCount, payload }) => {
    return `${firstLsn}+${entryCount} ${payload.equals(payloadOf(firstLsn, payload.length))}`
  })
}

function writingTests(withJournal: WithJournal): void {
  test(
    'begins with nothing',
    withJournal(async ({ journal }) => {
      expect(journal).toMatchObject({ firstLsn: 1, writtenLsn: 0, flushedLsn: 0, failed: null, timeline: 1 })
      expect([journal.writtenBytes, journal.isAtLimit, journal.sealedLsn]).toEqual([0, false, 0])
    }),
  )

  test(
    'what is appended is written at once, can be read as it was appended, and is flushed by a flush',
    withJournal(async (fixture) => {
      const { journal } = fixture
      append(journal, 3, 64)
      append(journal, 2, 8)
      expect([journal.writtenLsn, journal.flushedLsn]).toEqual([5, 0])
      expect(read(fixture)).toEqual(['1+3 true', '4+2 true'])
      expect(await flushed(fixture)).toEqual({ flushedLsn: 5, error: null })
      expect(journal.flushedLsn).toBe(5)
    }),
  )

  test(
    'a flush is done later and once, and the next one covers what was written meanwhile',
    withJournal(async (fixture) => {
      const { journal } = fixture
      let dones = 0
      append(journal)
      journal.flush(() => dones++)
      expect(dones).toBe(0)
      append(journal)
      await fixture.settle(() => dones > 0)
      expect((await flushed(fixture)).flushedLsn).toBe(2)
      expect(dones).toBe(1)
    }),
  )

  test(
    'a flush of nothing new is done as well',
    withJournal(async (fixture) => {
      expect(await flushed(fixture)).toEqual({ flushedLsn: 0, error: null })
      append(fixture.journal)
      await flushed(fixture)
      expect(await flushed(fixture)).toEqual({ flushedLsn: 1, error: null })
    }),
  )

  test(
    'the digest follows from everything before it, and the bytes only grow',
    withJournal(async ({ journal }) => {
      const digests = new Set<string>()
      let bytes = 0
      for (let i = 0; i < 3; i++) {
        append(journal)
        digests.add(journal.lastDigest.toString('hex'))
        expect(journal.writtenBytes).toBeGreaterThan(bytes)
        bytes = journal.writtenBytes
      }
      expect(digests.size).toBe(3)
    }),
  )

  test(
    'an LSN that does not follow, and a batch of nothing, are mistakes',
    withJournal(async ({ journal }) => {
      append(journal)
      expect(() => journal.append(payloadOf(lsn(3), 64), lsn(3), 1, noLsn)).toThrow('LSN 3 does not follow 1')
      expect(() => journal.append(Buffer.alloc(0), lsn(2), 0, noLsn)).toThrow('at least one entry')
      expect(journal.writtenLsn).toBe(1)
    }),
  )

  test(
    'what fits into no frame is refused, and nothing has changed',
    withJournal(async (fixture) => {
      const { journal } = fixture
      append(journal)
      const bytes = framePayloadBytesMax(contractOptions) + 8
      const tooLarge = (): void => journal.append(payloadOf(lsn(2), bytes), lsn(2), 1, noLsn)
      expect(codeOf(tooLarge)).toBe('payload_too_large')
      append(journal)
      expect(read(fixture)).toEqual(['1+1 true', '2+1 true'])
    }),
  )
}

function roomTests(withJournal: WithJournal): void {
  /** Until an append is refused. */
  const fill = ({ journal }: JournalFixture): void => {
    while (journal.hasRoomFor(third)) append(journal, 1, third)
  }

  test(
    'at its limit it refuses, and says so before',
    withJournal(async (fixture) => {
      const { journal } = fixture
      fill(fixture)
      expect(journal.isAtLimit).toBe(true)
      const written = journal.writtenLsn
      expect(codeOf(() => append(journal, 1, third))).toBe('journal_full')
      expect([journal.writtenLsn, journal.failed]).toEqual([written, null])
    }),
  )

  test(
    'what makes room may use the room that is kept for it',
    withJournal(async (fixture) => {
      const { journal } = fixture
      fill(fixture)
      while (journal.hasRoomFor(1024)) append(journal, 1, 1024)
      expect(codeOf(() => append(journal, 1, 1024))).toBe('journal_full')
      const next = lsn(journal.writtenLsn + 1)
      journal.append(payloadOf(next, 1024), next, 1, journal.flushedLsn, true)
      expect(journal.writtenLsn).toBe(next)
    }),
  )

  test(
    'old segments go, oldest first and as many as asked for, and there is room again',
    withJournal(async (fixture) => {
      const { journal } = fixture
      fill(fixture)
      expect([journal.bytesAfter(noLsn), journal.writtenLsn]).toEqual([3 << 20, 9])
      expect((await flushed(fixture)).error).toBeNull()
      // a leader's cache is flushed by itself, when it is
      await fixture.settle(() => journal.removableBefore(journal.writtenLsn) > 0)
      expect([journal.removeBefore(lsn(3)), journal.removeBefore(lsn(9), 0), journal.firstLsn]).toEqual([0, 0, 1])
      expect([journal.removeBefore(lsn(9), 1), journal.firstLsn]).toEqual([1, 4])
      expect(journal.hasRoomFor(third)).toBe(true)
      append(journal, 1, third)
    }),
  )

  test(
    'what is not flushed does not go, nor the segment that is written',
    withJournal(async (fixture) => {
      const { journal } = fixture
      fill(fixture)
      expect(journal.removableBefore(journal.writtenLsn)).toBe(0)
      await flushed(fixture)
      await fixture.settle(() => journal.removableBefore(journal.writtenLsn) > 0)
      expect(journal.removeBefore(lsn(journal.writtenLsn + 1))).toBe(2)
      expect(journal.bytesAfter(noLsn)).toBe(1 << 20)
    }),
  )

  test(
    'the current segment can be sealed, unless it is empty',
    withJournal(async (fixture) => {
      const { journal } = fixture
      journal.switchSegment()
      expect(journal.sealedLsn).toBe(0)
      append(journal, 2)
      journal.switchSegment()
      journal.switchSegment()
      expect([journal.sealedLsn, journal.bytesAfter(noLsn), journal.bytesAfter(lsn(2))]).toEqual([2, 2 << 20, 1 << 20])
      append(journal)
      expect((await flushed(fixture)).flushedLsn).toBe(3)
    }),
  )
}

function endTests(withJournal: WithJournal): void {
  test(
    'a failed flush ends it: nothing is appended, and no further flush succeeds',
    withJournal(async (fixture) => {
      const { journal } = fixture
      append(journal)
      await flushed(fixture)
      fixture.failFlushes()
      append(journal)
      const { flushedLsn, error } = await flushed(fixture)
      expect(flushedLsn).toBe(1)
      expect(error).not.toBeNull()
      expect(journal.failed).toBe(error)
      expect(() => append(journal)).toThrow(error?.message)
      expect(() => journal.removeBefore(lsn(1))).toThrow(error?.message)
      expect((await flushed(fixture)).error).toBe(error)
    }),
  )

  test(
    'what was written before a stop is there after it, and goes on',
    withJournal(async (fixture) => {
      append(fixture.journal, 3)
      append(fixture.journal)
      expect(await closed(fixture)).toBeNull()
      const again = await fixture.reopen()
      expect([again.journal.writtenLsn, again.journal.flushedLsn]).toEqual([4, 4])
      append(again.journal)
      expect(read(again)).toEqual(['1+3 true', '4+1 true', '5+1 true'])
      expect(await closed(again)).toBeNull()
    }),
  )

  test(
    'a stop waits for a flush that is under way',
    withJournal(async (fixture) => {
      const { journal } = fixture
      const order: string[] = []
      append(journal)
      journal.flush((flushedLsn, error) => order.push(`flushed ${flushedLsn} ${error}`))
      journal.close((error) => order.push(`closed ${error}`))
      await fixture.settle(() => order.length === 2)
      expect(order).toEqual(['flushed 1 null', 'closed null'])
    }),
  )

  test(
    'nothing is taken after it is closed',
    withJournal(async (fixture) => {
      append(fixture.journal)
      await closed(fixture)
      expect(() => append(fixture.journal)).toThrow('the journal is closed')
    }),
  )
}
