import type { Lsn } from '../kernel/identifiers.ts'

/** The entries of one frame, as they were given to `append`. */
export interface JournalBatch {
  readonly firstLsn: Lsn
  readonly entryCount: number
  /** The entries one after another, each 8-byte aligned. May share memory with its neighbours; never changes. */
  readonly payload: Buffer
  /** When it was written, for people: it orders nothing. */
  readonly wallMs: number
  /** Identifies everything up to here: two journals with the same digest at an LSN are the same below it (R9). */
  readonly digest: Buffer
}
