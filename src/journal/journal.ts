import { assert } from '../kernel/assert.ts'
import { JournalAppender } from './journal-appender.ts'
import type { Journal } from './journal-handle.ts'
import { openEnd } from './open-segment.ts'
import { checkJournalOptions, type JournalOptions } from './options.ts'
import { type RecoveryReport, type RecoveryRequest, recover } from './recovery.ts'
import { SpareSegment } from './spare-segment.ts'

export type { JournalBatch } from './batch.ts'
export type { Journal } from './journal-handle.ts'
export type { RecoveryReport } from './recovery.ts'

export interface OpenJournalRequest extends RecoveryRequest {
  readonly options: JournalOptions
}

/**
 * Recovers the journal in this directory and opens it for its one writer; makes the first segment in an empty one.
 * The caller holds the lock of the data directory (R0).
 *
 * @throws CommanderError journal_corrupt with details { segment, offset, lsn, rule, floorLsn }; foreign_database;
 * unsupported_version; invalid_config; journal_full; journal_failed
 */
export async function openJournal(request: OpenJournalRequest): Promise<{ journal: Journal; report: RecoveryReport }> {
  const { storage, environment, options, journalId, serverId } = request
  checkJournalOptions(options)
  assert(journalId.length === 16 && serverId.length === 16, 'journalId and serverId are 16 bytes each')
  const recovered = await recover(request)
  const spare = new SpareSegment(storage, environment, options)
  spare.adopt()
  const journal = new JournalAppender(
    { storage, environment, options, spare, identity: { journalId, serverId }, segEpoch: request.segEpoch ?? 1 },
    { ...recovered.start, current: openEnd(storage, recovered.end) },
  )
  spare.prepare()
  try {
    if (recovered.startsSegment) await startSegment(journal, spare, recovered.start.timeline)
  } catch (error) {
    await new Promise<void>((resolve) => journal.close(() => resolve()))
    throw error
  }
  return { journal, report: recovered.report }
}

/** At this moment nobody waits for an append: the segment can be had zero-filled, and is durable before it is used. */
async function startSegment(journal: JournalAppender, spare: SpareSegment, timeline: number): Promise<void> {
  await new Promise<void>((resolve) => spare.whenSettled(resolve))
  journal.roll(timeline)
  await new Promise<void>((resolve, reject) => {
    journal.flush((_flushedLsn, error) => (error === null ? resolve() : reject(error)))
  })
}
