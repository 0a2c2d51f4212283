import { readSegmentHeader } from '../journal/segment-chain.ts'
import { type SegmentName, segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { archiveNames } from './archive-target.ts'

/** A segment of the local journal that is complete: the journal goes on in its successor. */
export interface SealedSegment extends SegmentName {
  /** LSN of its last entry; `baseLsn - 1` when it has none. */
  readonly lastLsn: Lsn
  /** Its successor. */
  readonly next: SegmentName
}

/**
 * The sealed segments of which something lies behind `afterLsn`, oldest first, as far as their end is flushed: a seal holds no
 * entry, so it is known to be flushed once the entry behind it is. A seal that was only written may be gone after a
 * crash, and the segment would go on with other bytes than were archived.
 */
export function sealedSegments(storage: JournalStorage, afterLsn: Lsn, flushedLsn: Lsn): SealedSegment[] {
  const segments = segmentsOf(storage.list())
  const sealed: SealedSegment[] = []
  for (const [index, next] of segments.entries()) {
    const segment = segments[index - 1]
    if (segment === undefined || next.segNo !== segment.segNo + 1) continue
    if (next.baseLsn > flushedLsn) break
    const lastLsn = lsn(next.baseLsn - 1)
    if (lastLsn > afterLsn) sealed.push({ ...segment, lastLsn, next })
  }
  return sealed
}

/** Where a sealed segment goes, and whether a timeline begins behind it. */
export interface ArchivePlace {
  readonly object: string
  readonly timeline: number
  /** The segment's own, which ends with it where it is another one. */
  readonly parent: number
  readonly segmentBytes: number
}

/**
 * A segment is archived under its successor's timeline: one that was cut where a timeline was left ends otherwise than
 * what the old timeline may have archived under the same name, and only the new timeline goes on from there.
 * `null` when a header is damaged or gone.
 */
export function placeOf(storage: JournalStorage, { name, next }: SealedSegment): ArchivePlace | null {
  const header = readSegmentHeader(storage, name)
  const successor = readSegmentHeader(storage, next.name)
  if (header === null || successor === null) return null
  const { timeline } = successor
  const { timeline: parent, segmentBytes } = header
  return { object: archiveNames.segment(timeline, name), timeline, parent, segmentBytes }
}
