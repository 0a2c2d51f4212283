import type { CommanderError } from '../kernel/errors.ts'

/**
 * A directory of files as the journal needs it. Everything that touches a disk is behind these two interfaces,
 * so that the same journal runs over the file system and over a virtual disk that loses power on demand.
 *
 * Errors: `journal_full` (ENOSPC, EDQUOT) and `journal_failed` (anything else that the system refuses).
 */
export interface JournalStorage {
  /** Names of all files, sorted. */
  list(): string[]
  /** An existing file, for reading and writing. @throws CommanderError not_found */
  open(name: string): JournalFile
  /** An existing file, for reading; sees what others write. @throws CommanderError not_found */
  openReadOnly(name: string): JournalFile
  /**
   * Makes a file of `bytes` zeros in the background: under a temporary name, allocated or zero-filled in chunks, flushed,
   * renamed to `name`, the directory flushed. With `recycled` that file's blocks are used again: it loses its name at once.
   * `done` comes later, once; after a cancel with `not_ready` unless the work was already over.
   */
  create(name: string, bytes: number, zeroFill: boolean, done: Done, recycled?: string): Creation
  /** The same at once and without filling, for when a file is needed that the background has not finished. */
  createNow(name: string, bytes: number): void
  /** Durable when it returns. */
  rename(from: string, to: string): void
  /** Durable when it returns. @throws CommanderError not_found */
  remove(name: string): void
  /** Replaces a small file as a whole, durable when it returns: after a crash either the old or the new bytes are there. */
  writeWhole(name: string, bytes: Uint8Array): void
  /** Makes all names durable as they are: a predecessor may have died between a change of them and the flush. */
  flushNames(): void
  /** `null` when there is no such file. */
  readWhole(name: string): Buffer | null
}

export type Done = (error: CommanderError | null) => void

export interface Creation {
  /** Stops at the next chunk and removes the temporary file; `done` is still called. */
  cancel(): void
  /** Somebody waits for the file: give way to other writes no longer. */
  hurry(): void
}

export interface JournalFile {
  readonly name: string
  size(): number
  /** Reads into the whole of `target`; returns the bytes read, fewer only at the end of the file. */
  read(target: Buffer, position: number): number
  /** Writes all parts one after another; finishes short writes. After an error any part of it may be there. */
  write(parts: readonly Buffer[], position: number): void
  /** Makes everything written so far durable (fdatasync). An error means that it may never be: do not try again. */
  flush(done: Done): void
  close(): void
}

/** Files under this ending are unfinished: left by a crash, they are removed by recovery. */
export const temporarySuffix = '.tmp'
