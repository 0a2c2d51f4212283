import type { CommanderError } from '../kernel/errors.ts'
import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import type { Digest, ReplicatedBatch } from './batch.ts'
import type { DamagedRange, ServerId } from './messages.ts'

/** Who a directory of a journal server is. One that was wiped is another one. */
export interface ServerIdentity {
  readonly serverId: ServerId
  /** A UUID, made with the directory. */
  readonly identity: string
  readonly clusterId: string
}

/** What the log has of a segment of a stream. */
export interface SegmentSummary {
  readonly epoch: Epoch
  readonly base: Lsn
  readonly baseDigest: Digest
  /** The oldest entry that was not dropped by `dropSegments`. */
  readonly from: Lsn
  /** The last entry that is written; `base - 1` for none. Damaged ones count as there. */
  readonly tail: Lsn
  /** At `tail`; null where that is damaged. */
  readonly tailDigest: Digest | null
  /** The last entry that is flushed. */
  readonly flushed: Lsn
  /** Hint: all up to here is committed. May lie above `tail`. */
  readonly committed: Lsn
  /** The end is damaged: there may have been more than `tail` says (I14). */
  readonly atLeast: boolean
  /** Entries that were there and cannot be read (I14). */
  readonly damaged: readonly DamagedRange[]
  /** It was opened with damage, and takes nothing until that is cut off. */
  readonly isReadOnly: boolean
  /** Where the segment was told to end; null while it was not. */
  readonly finished: Lsn | null
}

/**
 * What a journal server has on disk. Everything is at once but `flush` and `close`; what is called durable is on the medium when
 * the call returns.
 *
 * Errors: `journal_full`, nothing of the batch at hand was written, and it goes on when there is room; `server_poisoned`, a
 * write or a flush failed: nothing works any more, the process must end, and the next one goes by what is on the medium.
 * Whoever calls it has checked epochs and places; what contradicts the log is an assertion.
 */
export interface ServerLog {
  readonly identity: ServerIdentity
  /** The largest payload of one batch that it takes. */
  readonly batchBytesMax: number
  /** Why nothing works any more; null while all is well. */
  readonly failed: CommanderError | null
  streams(): readonly string[]
  /** I4: durable, never falls; 0 where nothing was promised. */
  promised(stream: string): Epoch
  /** Durable when it returns. */
  promise(stream: string, epoch: Epoch): void
  /** In the order of their epochs. */
  segments(stream: string): readonly SegmentSummary[]
  /** Durable when it returns. */
  createSegment(
    stream: string,
    segment: { readonly epoch: Epoch; readonly base: Lsn; readonly baseDigest: Digest },
  ): void
  /**
   * Writes the batches in order, each behind the tail and following its digest. `journal_full` stops between two
   * batches: `tail` says after which. Without batches it keeps the hint alone, in memory.
   * @throws CommanderError `journal_corrupt` where the segment is read-only
   */
  append(stream: string, segmentEpoch: Epoch, batches: readonly ReplicatedBatch[], committed: Lsn): void
  /** Makes durable what is written now. One at a time a segment; a failed one is never tried again. */
  flush(stream: string, segmentEpoch: Epoch, done: (flushed: Lsn, error: CommanderError | null) => void): void
  /**
   * Whole batches, written ones too, from the one that holds `from` to the one that holds `to`, at least one if there is one, and no
   * further one once `bytesMax` is reached.
   * @throws CommanderError `journal_corrupt` with details { from, to }: these were there and are damaged; `log_trimmed` with { trimLsn }
   */
  read(stream: string, segmentEpoch: Epoch, from: Lsn, to: Lsn, bytesMax: number): ReplicatedBatch[]
  /** The digest at the end of a batch, or before the first one; null when none ends there intact. */
  digestAt(stream: string, segmentEpoch: Epoch, lsn: Lsn): Digest | null
  /** Drops whole batches above `after`, damaged ones too. Durable when it returns. */
  truncate(stream: string, segmentEpoch: Epoch, after: Lsn): void
  /** The segment ends at `tail`: drops what lies above. Durable when it returns. */
  finish(stream: string, segmentEpoch: Epoch, tail: Lsn): void
  /** Drops what lies wholly below `before`, as far as it is files of its own; the last segment stays, if empty. */
  dropSegments(stream: string, before: Lsn): void
  /** With its promise. */
  deleteStream(stream: string): void
  /** Flushes and closes. */
  close(done: (error: CommanderError | null) => void): void
}
