import { beforeEach, describe, expect, it } from 'vitest'
import type { Journal } from '../../../src/journal/journal.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { type Reader, Retention, type RetentionSettings } from '../../../src/journal-writer/retention.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld, smallSegments } from '../journal/journal-world.ts'

const segmentBytes = smallSegments.segmentBytes
const frameBytes = 100_000
const maxBytes = 6 * segmentBytes
const spread: RetentionSettings = {
  maxJournalBytes: maxBytes,
  checkpointTimeoutMs: 100_000,
  checkpointCompletionTarget: 0.5,
}

let world: JournalWorld
let journal: Journal
let readers: Reader[]

beforeEach(async () => {
  world = new JournalWorld({ ...smallSegments, maxBytes })
  journal = (await world.open()).journal
  readers = []
})

const segmentCount = (): number => segmentsOf(world.storage.list()).length
const bytesOnDisk = (): number =>
  world.storage.list().reduce((sum, name) => sum + (world.storage.readWhole(name)?.length ?? 0), 0)

/** Writes and flushes until so many segments have been begun. */
function writeSegments(count: number): void {
  while (segmentCount() < count) {
    append(journal, 1, frameBytes)
    world.scheduler.runDue()
  }
  flush(world, journal)
}

function retention(settings: RetentionSettings = spread, checkpoint: Lsn = lsn(0)): Retention {
  return new Retention({ journal, environment: world.environment, settings, checkpoint, readers: () => readers })
}

const said = (checkpoint: Lsn, more: { archived?: Lsn | null; atOnce?: boolean } = {}) => ({
  applied: journal.flushedLsn,
  checkpoint,
  archived: null,
  atOnce: true,
  ...more,
})

describe('segments', () => {
  it('stay until the applier has been heard of, whatever the store had', () => {
    writeSegments(4)
    const kept = retention(spread, journal.flushedLsn)
    kept.look()
    world.scheduler.advance(1_000_000)
    expect(segmentCount()).toBe(4)
  })

  it('stay that hold an entry behind the checkpoint', () => {
    writeSegments(4)
    const second = segmentsOf(world.storage.list())[1]?.baseLsn ?? lsn(0)
    const kept = retention()
    kept.said(said(lsn(second - 2)))
    expect(segmentCount()).toBe(4)
    kept.said(said(lsn(second - 1)))
    expect(journal.firstLsn).toBe(second)
  })

  it('stay that hold an entry behind the checkpoint, although the archive has them', () => {
    writeSegments(6)
    const second = segmentsOf(world.storage.list())[1]?.baseLsn ?? lsn(0)
    const kept = retention()
    kept.said(said(lsn(second - 2), { archived: journal.flushedLsn }))
    expect(segmentCount()).toBe(6)
    kept.said(said(lsn(second - 1), { archived: journal.flushedLsn }))
    expect(journal.firstLsn).toBe(second)
  })

  it('stay that the archive does not have', () => {
    writeSegments(4)
    const third = segmentsOf(world.storage.list())[2]?.baseLsn ?? lsn(0)
    const kept = retention()
    kept.said(said(journal.flushedLsn, { archived: lsn(third - 2) }))
    expect(segmentCount()).toBe(3)
    kept.said(said(journal.flushedLsn, { archived: lsn(third - 1) }))
    expect(journal.firstLsn).toBe(third)
  })

  it('stay that a process has yet to read', () => {
    writeSegments(4)
    const [first, second] = segmentsOf(world.storage.list())
    readers = [
      { name: 'fast', next: lsn(journal.writtenLsn + 1) },
      { name: 'slow', next: lsn((second?.baseLsn ?? 0) - 1) },
    ]
    const kept = retention()
    kept.said(said(journal.flushedLsn))
    expect(journal.firstLsn).toBe(first?.baseLsn)
    readers = [{ name: 'slow', next: second?.baseLsn ?? lsn(0) }]
    world.scheduler.advance(1000)
    expect(journal.firstLsn).toBe(second?.baseLsn)
  })

  it('go when the journal has reached its limit, and leave behind who has not read them', () => {
    readers = [{ name: 'slow', next: lsn(1) }]
    const kept = retention()
    for (let i = 0; i < 10; i++) {
      writeSegments(6)
      expect(journal.isAtLimit).toBe(true)
      kept.said(said(journal.flushedLsn))
      expect(segmentCount()).toBe(5)
    }
    expect(journal.firstLsn).toBeGreaterThan(1)
  })

  it('are never removed for room before checkpoint and archive have passed them', () => {
    writeSegments(6)
    const kept = retention()
    kept.said(said(lsn(3)))
    kept.said(said(journal.flushedLsn, { archived: lsn(3) }))
    expect(segmentCount()).toBe(6)
  })

  it('go one by one over the share of the time until the next checkpoint', () => {
    writeSegments(5)
    const kept = retention()
    kept.said(said(journal.flushedLsn, { atOnce: false }))
    const counts: number[] = []
    for (let i = 0; i < 5; i++) {
      counts.push(segmentCount())
      world.scheduler.advance(12_500)
    }
    expect(counts).toEqual([5, 4, 3, 2, 1])
  })

  it('go sooner when the journal grows', () => {
    writeSegments(4)
    const kept = retention({ ...spread, checkpointTimeoutMs: 86_400_000 })
    kept.said(said(journal.flushedLsn, { atOnce: false }))
    expect(segmentCount()).toBe(4)
    const before = journal.firstLsn
    writeSegments(5)
    kept.look()
    expect(journal.firstLsn).toBeGreaterThan(before)
  })
})

describe('the journal', () => {
  it('takes no more than its limit and one segment, and refuses what would not fit, until there is room', () => {
    const kept = retention()
    let refused = 0
    for (let i = 0; i < 300; i++) {
      try {
        append(journal, 1, frameBytes)
        world.scheduler.runDue()
      } catch (error) {
        expect(error).toMatchObject({ code: 'journal_full', retryable: true, details: { maxBytes } })
        refused++
        flush(world, journal)
        kept.said(said(journal.flushedLsn))
      }
      expect(bytesOnDisk()).toBeLessThanOrEqual(maxBytes + segmentBytes)
    }
    expect(refused).toBeGreaterThan(0)
    expect(journal.writtenLsn).toBe(300 - refused)
  })

  it('keeps room at its limit for what makes room again', () => {
    while (!journal.isAtLimit) append(journal, 1, frameBytes)
    const fill = (): void => {
      for (;;) append(journal, 1, 1000)
    }
    expect(fill).toThrow(expect.objectContaining({ code: 'journal_full' }))
    const payload = Buffer.alloc(1000, 1)
    journal.append(payload, lsn(journal.writtenLsn + 1), 1, journal.flushedLsn, true)
  })
})

describe('what keeps the oldest segment', () => {
  it('is named: the checkpoint, the archive, or the process that is furthest behind', () => {
    const kept = retention()
    writeSegments(2)
    const { firstLsn } = journal
    expect(kept.use).toEqual({ firstLsn, bytes: 2 * segmentBytes, maxBytes, heldBy: 'checkpoint' })
    kept.said(said(journal.flushedLsn, { atOnce: false, archived: lsn(3) }))
    expect(kept.use.heldBy).toBe('archive')
    readers = [
      { name: 'gateway', next: lsn(3) },
      { name: 'dispatcher', next: lsn(2) },
    ]
    expect(kept.use.heldBy).toBe('dispatcher')
    readers = []
    kept.said(said(journal.flushedLsn))
    expect(kept.use).toMatchObject({ bytes: segmentBytes, heldBy: null })
  })
})

describe('a checkpoint', () => {
  it('is due when the journal has grown by its share behind the last one, up to what is sealed', () => {
    const kept = retention()
    writeSegments(2)
    expect(kept.checkpointWanted).toBe(0)
    writeSegments(4)
    expect(kept.checkpointWanted).toBe(journal.sealedLsn)
    kept.said(said(journal.flushedLsn, { atOnce: false }))
    expect(kept.checkpointWanted).toBe(0)
  })
})
