import type { Lsn } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from './batch.ts'
import type { SealedSegment, StreamMeta } from './stream-meta.ts'

/**
 * Where sealed segments of a stream are put, as leader and readers see it. An object is put once, and never changed: whoever puts a
 * segment again, a second leader for instance, finds the same bytes under the same name.
 */
export interface StreamArchive {
  /** For people. */
  readonly location: string
  /**
   * Puts the segment there and reads it back. It may then be trimmed.
   *
   * @param read its batches, all of them and in order; from the beginning each time that it is called
   * @returns the object's name, for the record
   * @throws CommanderError `archive_conflict`: other bytes are there, or what was put does not come back; `archive_unavailable`;
   * `foreign_database`; `journal_corrupt`: the batches are not those of the record
   */
  store(segment: SealedSegment, read: () => AsyncIterable<ReplicatedBatch>): Promise<string>
  /** Whether an object that the record names is there. @throws CommanderError `archive_unavailable` */
  holds(object: string): Promise<boolean>
  /**
   * Batches that hold the entries behind `after`, some at a time, up to where the record's segments go on: proven along the chain of digests
   * from the record backwards before the first is given.
   *
   * @throws CommanderError `log_trimmed`: the archive does not have all of them; `archive_corrupt`, `archive_unavailable`
   */
  read(after: Lsn, meta: StreamMeta): AsyncIterable<readonly ReplicatedBatch[]>
}
