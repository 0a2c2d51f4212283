import type { JournalBatch } from '../journal/journal.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** Verified batches read from the segments, in order. */
export interface SegmentReader {
  /** Batches up to `until`, about `maxBytes` of them; none when the files hold no more. Throws `journal_corrupt`. */
  read(maxBytes: number, until: Lsn): JournalBatch[]
  close(): void
}

/** Opens the segments at `from`; what a child catches up from without asking anybody. */
export type SegmentSource = (from: Lsn) => SegmentReader
