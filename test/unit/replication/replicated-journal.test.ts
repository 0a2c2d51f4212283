import { beforeEach, describe, expect, test } from 'vitest'
import type { Journal } from '../../../src/journal/journal.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { ReplicatedJournal } from '../../../src/replication/replicated-journal.ts'
import { append, codeOf, type FlushOutcome, JournalWorld } from '../journal/journal-world.ts'
import { ScriptedLeader } from './scripted-leader.ts'

let world: JournalWorld
let cache: Journal
let journal: ReplicatedJournal
let leader: ScriptedLeader
let lost: CommanderError[]
let flushes: FlushOutcome[]

beforeEach(async () => {
  world = new JournalWorld()
  cache = (await world.open()).journal
  lost = []
  flushes = []
  journal = new ReplicatedJournal(cache, world.environment, (error) => lost.push(error))
  leader = new ScriptedLeader(lsn(0), world.scheduler)
  leader.isPrompt = false
})

function flush(): void {
  journal.flush((flushedLsn, error) => flushes.push({ flushedLsn, error }))
  world.scheduler.runDue()
}

describe('the journal of a node that leads', () => {
  beforeEach(() => journal.lead(leader))

  test('hands on each batch as it was written, in order', () => {
    const payloads = [append(journal, 3), append(journal)]
    expect(leader.batches.map(({ firstLsn, entryCount }) => [firstLsn, entryCount])).toEqual([
      [1, 3],
      [4, 1],
    ])
    expect(leader.batches.map(({ payload }, i) => payload.equals(payloads[i] as Buffer))).toEqual([true, true])
    expect([journal.writtenLsn, journal.flushedLsn, cache.flushedLsn]).toEqual([4, 0, 0])
  })

  test('wants it sent when somebody waits for it, or when it is much', () => {
    append(journal)
    append(journal)
    expect(leader.wanted).toBe(0)
    flush()
    expect(leader.wanted).toBe(2)
    append(journal, 1, 60_000)
    expect(leader.wanted).toBe(2)
    append(journal, 1, 6_000)
    expect(leader.wanted).toBe(4)
  })

  test('wants everything sent at a stop', () => {
    append(journal)
    journal.close(() => {})
    expect(leader.wanted).toBe(1)
  })

  test('is flushed when all that was written at the flush is committed, and not before', () => {
    append(journal, 2)
    append(journal)
    flush()
    append(journal)
    leader.commit(2)
    world.scheduler.advance(60_000)
    expect(flushes).toEqual([])
    leader.commit(3)
    expect(flushes).toEqual([{ flushedLsn: 3, error: null }])
  })

  test('tells of what was committed while nobody waited by the next flush', () => {
    append(journal)
    leader.commit(1)
    expect(journal.flushedLsn).toBe(0)
    flush()
    expect(flushes).toEqual([{ flushedLsn: 1, error: null }])
  })

  test('keeps segments of the cache with what is not committed, whatever of it is on the disk', () => {
    for (let i = 0; i < 8; i++) append(journal, 1, 300_000)
    world.scheduler.advance(5_000)
    expect(cache.flushedLsn).toBe(8)
    expect([journal.removableBefore(lsn(8)), journal.removeBefore(lsn(8))]).toEqual([0, 0])
    leader.commit(5)
    flush()
    leader.commit(8)
    expect(journal.removeBefore(lsn(8))).toBe(2)
  })

  test('has a segment of the cache flushed as soon as it is sealed, so that it may go', () => {
    append(journal, 1, 600_000)
    world.scheduler.runDue()
    expect(cache.flushedLsn).toBe(0)
    append(journal, 1, 600_000)
    world.scheduler.runDue()
    expect(cache.flushedLsn).toBe(2)
  })

  test('takes nothing while too much is under way, and goes on as it is committed', () => {
    append(journal)
    leader.hasRoom = false
    expect(journal.hasRoomFor(64)).toBe(false)
    expect(codeOf(() => append(journal))).toBe('journal_full')
    expect([journal.writtenLsn, journal.failed, leader.batches.length]).toEqual([1, null, 1])
    leader.hasRoom = true
    expect(journal.hasRoomFor(64)).toBe(true)
    append(journal)
    expect(leader.batches.map(({ firstLsn }) => firstLsn)).toEqual([1, 2])
  })

  test('fails when it is deposed: whoever waits is told, and nothing is appended', () => {
    append(journal)
    flush()
    leader.depose()
    expect(flushes.map(({ flushedLsn, error }) => [flushedLsn, error?.code])).toEqual([[0, 'fenced']])
    expect(lost.map(({ code }) => code)).toEqual(['fenced'])
    expect(codeOf(() => append(journal))).toBe('fenced')
    expect(cache.writtenLsn).toBe(1)
    flush()
    expect(flushes).toHaveLength(2)
  })

  test('fails when nobody waits as well, once', () => {
    leader.depose()
    leader.commit(0)
    expect(lost).toHaveLength(1)
  })

  test('fails when its cache does, which is flushed although nobody waits', () => {
    world.fault = ({ kind }) => (kind === 'flush' ? 'eio' : null)
    append(journal)
    leader.commit(1)
    world.scheduler.advance(5_000)
    expect(lost.map(({ code }) => code)).toEqual(['journal_failed'])
    flush()
    expect(flushes[0]?.error?.code).toBe('journal_failed')
  })

  test('stops once what is under way is committed', async () => {
    append(journal)
    flush()
    const order: unknown[] = []
    journal.close((error) => order.push(error))
    world.scheduler.advance(1_000)
    expect([flushes, order]).toEqual([[], []])
    leader.commit(1)
    world.scheduler.advance(1)
    expect([flushes, order]).toEqual([[{ flushedLsn: 1, error: null }], [null]])
  })

  test('stops all the same when that takes too long, and says what is not known', () => {
    append(journal)
    flush()
    const ends: (CommanderError | null)[] = []
    journal.close((error) => ends.push(error))
    world.scheduler.advance(60_000)
    expect([flushes[0]?.error?.code, ends.map((error) => error?.code)]).toEqual(['indeterminate', ['indeterminate']])
  })
})

describe('the journal of a node that follows', () => {
  test('has flushed what is written, for only what is committed is', () => {
    append(journal, 3)
    flush()
    expect(flushes).toEqual([{ flushedLsn: 3, error: null }])
    expect(leader.batches).toEqual([])
  })

  test('comes to lead where the stream ends, and nowhere else', () => {
    append(journal, 3)
    expect(() => journal.lead(leader)).toThrow('the cache ends at 3, the stream at 0')
    leader.committed = lsn(3)
    journal.lead(leader)
    append(journal)
    expect(leader.batches).toMatchObject([{ firstLsn: 4 }])
  })
})
