import type { Lsn } from '../kernel/identifiers.ts'

/** What a leader appended with one write, and is committed: no leader can come that does not have it. */
export interface CommittedBatch {
  readonly firstLsn: Lsn
  readonly entryCount: number
  /** The entries, each padded to 8 bytes. */
  readonly payload: Buffer
}

/** What the journal writer of a node that does not lead is fed with. Bounded by whoever implements it. */
export interface CommittedBatches {
  /** The batch that begins behind `after`; null while it is not here. It may be asked for again until what is behind it is. */
  next(after: Lsn): CommittedBatch | null
  /** `more` is called whenever `next` may give something again. One listener. */
  onMore(more: () => void): void
  /** Nothing more is wanted. */
  close(): void
}
