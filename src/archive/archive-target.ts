import type { Readable } from 'node:stream'
import type { CommanderError } from '../kernel/errors.ts'

/**
 * A place outside the data directory for what must outlive it: a directory or a bucket. Objects have names with `/`
 * between their parts, are written once and never changed: PostgreSQL's contract of `archive_command`.
 *
 * Errors: `archive_unavailable` (retryable: it is down, refuses, or has no room), `archive_conflict` (it holds something else
 * under that name), `not_found`.
 */
export interface ArchiveTarget {
  /** For people: a path, or `s3://bucket/prefix`. */
  readonly location: string
  /**
   * Names that begin with `prefix`, sorted.
   * @param after - only those that are greater than this one
   */
  list(prefix: string, after?: string): Promise<string[]>
  /**
   * Puts a local file there under `name`, durable when it resolves. `exists`: there is an object of that name already,
   * which is left as it is; the caller compares.
   */
  putFile(name: string, path: string): Promise<'created' | 'exists'>
  /**
   * The same for what is made while it is put. The stream is read to its end or destroyed; an error of it leaves no object,
   * and is thrown as it is when it is a CommanderError.
   */
  putStream(name: string, source: Readable): Promise<'created' | 'exists'>
  /** The same for a few bytes. */
  putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'>
  /** The object's bytes. A stream that breaks off ends with an error, never early. */
  read(name: string): Promise<Readable>
  /**
   * Finds out, with an object that is there, whether the place itself refuses a taken name. A sentence for operators when it
   * does not, so that names are only looked up before; `null` when all is well.
   */
  check(name: string): Promise<string | null>
  /** Frees connections; what is under way fails with `archive_unavailable`. */
  close(): Promise<void>
}

/** How far the archive is, as status shows it. */
export interface ArchiveStatus {
  readonly location: string
  /** Every entry up to here is in the archive; 0 when none is. */
  readonly archivedLsn: number
  /** Sealed segments that are not there yet, and their bytes. */
  readonly waitingSegments: number
  readonly waitingBytes: number
  /** Failures one after the other since the last success; 0 when all is well. */
  readonly failures: number
  readonly error: Pick<CommanderError, 'code' | 'message'> | null
}

/** Names of an archive's objects. A backup has the same form, and is itself a place to restore from. */
export const archiveNames = {
  /** Whose archive it is: `{ format: 1, journalId, createdAt }`. Made first, checked ever after. */
  identity: 'archive.json',
  segments: 'segments/',
  /** One sealed segment as it lies in the journal, zstd with checksum. Timelines do not meet: a restored database begins a new one. */
  segment: (timeline: number, segment: string): string =>
    `${archiveNames.segments}${String(timeline).padStart(8, '0')}/${segment}.zst`,
  /** Where a timeline began: `{ timeline, parent, fromLsn, reason, at }`. */
  timeline: (timeline: number): string => `timelines/${String(timeline).padStart(8, '0')}.json`,
  /** What a backup holds, written last: without it there is no backup. */
  backup: 'backup.json',
  /** LMDB's data file of the backup, zstd with checksum. */
  store: 'store.mdb.zst',
} as const
