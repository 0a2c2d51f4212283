import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { QueuedBatch } from './queued-batch.ts'
import { unreadable } from './reset-reason.ts'
import type { SegmentReader } from './segment-source.ts'

/** The next batches out of the segments; none at their end. @returns an error where they end before `written` */
export function readSlice(reader: SegmentReader, applied: Lsn, written: Lsn): readonly QueuedBatch[] | CommanderError {
  try {
    const batches = reader.read(limits.catchUpSliceBytes, written)
    if (batches.length === 0 && applied < written)
      throw new CommanderError('journal_corrupt', `the segments end at ${applied}, not ${written}`)
    return batches.map(({ firstLsn, entryCount, payload }) => {
      return { payload, offset: 0, firstLsn, lastLsn: lsn(firstLsn + entryCount - 1), bytes: 0 }
    })
  } catch (error) {
    return unreadable(applied, error)
  }
}
