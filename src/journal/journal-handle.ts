import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** The journal as its one writer holds it. */
export interface Journal {
  /** LSN of the oldest entry that is still there, or would be. */
  readonly firstLsn: Lsn
  /** In the operating system: survives the process. */
  readonly writtenLsn: Lsn
  /** On the medium: survives the machine. */
  readonly flushedLsn: Lsn
  /** Bytes appended since the journal was opened, frames as a whole; only grows. */
  readonly writtenBytes: number
  /** Digest of the last frame: identifies everything up to here. */
  readonly lastDigest: Buffer
  readonly timeline: number
  /** Why nothing can be written any more; `null` while all is well. A full disk is not a failure. */
  readonly failed: CommanderError | null
  /** True while no further segment may be begun: the journal has reached `maxBytes`, and old segments must go first. */
  readonly isAtLimit: boolean
  /** False when an append of so many bytes would be refused because of `maxBytes`. */
  hasRoomFor(payloadBytes: number): boolean

  /**
   * Writes these entries as one frame: all of them will be there, or none. `payload` is a multiple of 8 bytes, at most
   * `framePayloadBytesMax`; `firstLsn` is the LSN after the last one. `useReserve` lets it have the room that is kept for
   * what makes room again (checkpoints) and for saying that the disk is full.
   * @throws CommanderError journal_full: nothing was appended, try again when there is room on the disk or below `maxBytes`; journal_failed: the journal is
   * closed for writing, whatever was written and not flushed is indeterminate; payload_too_large
   */
  append(payload: Buffer, firstLsn: Lsn, entryCount: number, committedLsn: Lsn, useReserve?: boolean): void

  /**
   * Makes durable what is written now; `done` comes later, once. One at a time. A failed flush is never tried again:
   * the journal is closed for writing, and only a recovery can tell what is there.
   */
  flush(done: (flushedLsn: Lsn, error: CommanderError | null) => void): void

  /**
   * Drops whole old segments whose entries all lie below `beforeLsn`, oldest first and at most `most` of them, never the current
   * one and nothing that is not flushed; returns how many. One of them may become the next spare. Archive first.
   * @throws CommanderError journal_failed
   */
  removeBefore(beforeLsn: Lsn, most?: number): number

  /** How many segments `removeBefore` would drop. */
  removableBefore(beforeLsn: Lsn): number

  /** LSN of the last entry of the last segment but the current one; 0 when there is none. */
  readonly sealedLsn: Lsn

  /** Bytes of the segments that hold entries above `after`, as whole files. */
  bytesAfter(after: Lsn): number

  /**
   * Seals the current segment, so that it can be archived, and goes on in a new one; does nothing when it holds no entry.
   * As pg_switch_wal of PostgreSQL.
   * @throws CommanderError journal_full: there is no room for a further segment; journal_failed
   */
  switchSegment(): void

  /** Flushes, leaves a mark that it was a clean stop, closes. Waits for a flush that is under way. */
  close(done: (error: CommanderError | null) => void): void
}
