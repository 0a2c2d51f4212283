import { describe, expect, test } from 'vitest'
import { verifyJournal } from '../../../src/journal/inspect.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { append, codeOf, flush, JournalWorld, smallSegments } from './journal-world.ts'

const basesOf = ({ storage }: JournalWorld): number[] => segmentsOf(storage.list()).map(({ baseLsn }) => baseLsn)

describe('switching to the next segment', () => {
  test('seals the current one, and what is appended then is in the next', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 3)
    journal.switchSegment()
    expect(journal.sealedLsn).toBe(3)
    append(journal, 2)
    expect(basesOf(world)).toEqual([1, 4])
    expect(flush(world, journal)).toEqual({ flushedLsn: 5, error: null })
    expect(verifyJournal(world.storage)).toMatchObject({ status: 'ok', segments: 2, lastLsn: 5 })
  })

  test('does nothing where the current one holds no entry', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    journal.switchSegment()
    expect(basesOf(world)).toEqual([1])
    append(journal, 1)
    journal.switchSegment()
    journal.switchSegment()
    expect(basesOf(world)).toEqual([1, 2])
    flush(world, journal)
    journal.switchSegment()
    expect(basesOf(world)).toEqual([1, 2])
  })

  test('is kept over a restart, sealed and empty as it is', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 3)
    journal.switchSegment()
    flush(world, journal)
    world.storage.kill()
    const { journal: again, report } = await world.open()
    expect(report).toMatchObject({ action: 'open', recoveredLsn: 3 })
    append(again, 1)
    expect(basesOf(world)).toEqual([1, 4])
  })

  test('is refused when the journal has reached its limit, and harms nothing', async () => {
    const world = new JournalWorld({ ...smallSegments, maxBytes: 2 * smallSegments.segmentBytes })
    const { journal } = await world.open()
    append(journal, 1)
    journal.switchSegment()
    append(journal, 1)
    expect(codeOf(() => journal.switchSegment())).toBe('journal_full')
    expect(journal.failed).toBe(null)
    append(journal, 1)
    expect(basesOf(world)).toEqual([1, 2])
  })

  test('ends the use of a journal whose disk fails', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 1)
    world.fault = ({ kind }) => (kind === 'write' ? 'eio' : null)
    expect(codeOf(() => journal.switchSegment())).toBe('journal_failed')
    expect(journal.failed?.code).toBe('journal_failed')
  })
})
