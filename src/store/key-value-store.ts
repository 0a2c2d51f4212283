import type { CommanderError } from '../kernel/errors.ts'

export interface KeyValueEntry {
  readonly key: Buffer
  readonly value: Buffer
}

export interface RangeOptions {
  /** First key of the range, inclusive. Default: the table's first. */
  readonly from?: Buffer
  /** End of the range, exclusive. Default: behind the table's last. */
  readonly to?: Buffer
  /** From the last key of the range to its first. Default: false. */
  readonly reverse?: boolean
  /** Entries at most. Default: all of the range. */
  readonly limit?: number
}

/** One ordered map of a store. Keys are ordered bytewise; a key has 1 to `keyBytesMax` bytes, a value 0 to 4 GiB. */
export interface KeyValueTable {
  /** A copy: it stays valid, and may be changed by whoever asked for it. */
  get(key: Buffer): Buffer | undefined
  /**
   * The value without a copy of its own, for a caller that decodes it at once. It is valid only until the next read
   * or write of any table of the process, and must not be changed.
   */
  view(key: Buffer): Buffer | undefined
  has(key: Buffer): boolean
  /**
   * Keys and values in order; both are copies. Read lazily, a few hundred entries at a time: stopping early costs
   * nothing, and no read transaction stays open between two steps. Within one turn of the event loop, or within
   * `snapshot`, a range is one committed state; one that is drawn out over several turns may go on in a newer one.
   */
  range(options: RangeOptions): Iterable<KeyValueEntry>
  count(): number
}

/**
 * What one transaction changes. Key and value are read before the call returns, so a caller may reuse its buffers.
 * Valid only inside `fill`.
 */
export interface WriteBatch {
  /** As the transaction sees it: with what this batch has put and deleted so far. A copy. */
  get(table: string, key: Buffer): Buffer | undefined
  put(table: string, key: Buffer, value: Buffer): void
  /** Does nothing when the key is not there. */
  delete(table: string, key: Buffer): void
  clear(table: string): void
}

export type StoreDone = (error: CommanderError | null) => void

/**
 * Tables of bytes with atomic transactions. One handle of all processes writes; every other one is read-only.
 *
 * Two promises, never to be confused: what `write` reported is *committed*, seen by every reader and kept when any
 * process is killed; what `flush` reported is *flushed*, and survives the loss of power. After a power failure the
 * store opens at exactly one committed state, which is the one of the last flush or a later one, never a mixture.
 * An implementation may flush with every commit, as the one over LMDB does; callers rely on `flush` alone.
 */
export interface KeyValueStore {
  readonly path: string
  /** @throws AssertionError when the table was not named at open. */
  table(name: string): KeyValueTable
  /**
   * One atomic transaction. `fill` runs before this returns and must not read through tables (it has `batch.get`).
   * When it throws, nothing is changed and `write` throws the same. `done` runs in a later turn, in the order of the
   * writes, once every reader can see the transaction; with an error, nothing of it was changed.
   *
   * @throws AssertionError on a read-only or closed handle, an unknown table, or a key of 0 or too many bytes.
   */
  write(fill: (batch: WriteBatch) => void, done: StoreDone): void
  /** `done` runs in a later turn, once all that was asked for before this call is committed and flushed. */
  flush(done: StoreDone): void
  /**
   * Lets the reads that follow see the newest committed state. Without it a handle may show the state of its last
   * read until its event loop has turned and a millisecond has passed.
   */
  refresh(): void
  /** All reads inside see one committed state. `read` is synchronous and does not write. */
  snapshot<T>(read: () => T): T
  /** Finishes what was asked for before, flushes, and lets go of the files. Idempotent. */
  close(): Promise<void>
}
