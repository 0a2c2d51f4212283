import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Digest } from './batch.ts'
import { decodeChecked, encodeChecked } from './checked-record.ts'

/** What a directory of a segment says beside its journal, in the file `segment.json`; written whole. */
export interface SegmentMark {
  readonly stream: string
  readonly epoch: Epoch
  readonly base: Lsn
  readonly baseDigest: Digest
  /** What lies below was dropped. */
  readonly from: Lsn
  /** Of everything below `from`; null where that was damaged when it was dropped. */
  readonly fromDigest: Digest | null
  /** Had been flushed when a promise was made: less is damage (I14, R4). */
  readonly floor: Lsn
  /** What lies above counts as dropped, although it could not be cut off: there is damage below. */
  readonly ceiling: Lsn | null
  /** Damage was cut off, so that there was more than is there now: until it is whole again it says `atLeast`. */
  readonly atLeast: boolean
  readonly finished: Lsn | null
}

export const segmentMarkName = 'segment.json'
const format = 1

export function writeSegmentMark(storage: JournalStorage, mark: SegmentMark): void {
  const fromDigest = mark.fromDigest?.toString('hex') ?? null
  const record = { format, ...mark, baseDigest: mark.baseDigest.toString('hex'), fromDigest }
  storage.writeWhole(segmentMarkName, encodeChecked(record))
}

/** null: the segment was never created as a whole. @throws CommanderError journal_corrupt */
export function readSegmentMark(storage: JournalStorage, place: string): SegmentMark | null {
  const bytes = storage.readWhole(segmentMarkName)
  if (bytes === null) return null
  const record = decodeChecked(bytes) as Record<keyof SegmentMark | 'format', never> | null
  if (record === null || record.format !== format)
    throw new CommanderError(
      'journal_corrupt',
      `${place}/${segmentMarkName} is damaged: the server cannot say what it holds. Give it an empty directory, and register that identity in place of the old`,
    )
  const optional = (value: number | null): Lsn | null => (value === null ? null : lsn(value))
  return {
    stream: record.stream,
    epoch: epoch(record.epoch),
    base: lsn(record.base),
    baseDigest: Buffer.from(record.baseDigest, 'hex'),
    from: lsn(record.from),
    fromDigest: record.fromDigest === null ? null : Buffer.from(record.fromDigest, 'hex'),
    floor: lsn(record.floor),
    ceiling: optional(record.ceiling),
    atLeast: record.atLeast,
    finished: optional(record.finished),
  }
}
