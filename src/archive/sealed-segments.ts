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
 * The sealed segments behind number `afterSegNo`, oldest first, as far as their end is flushed: a seal holds no entry, so it is
 * known to be flushed once the entry behind it is. A seal that was only written may be gone after a crash, and the segment
 * would go on with other bytes than were archived.
 */
export function sealedSegments(storage: JournalStorage, afterSegNo: number, flushedLsn: Lsn): SealedSegment[] {
  return sealedOf(storage).filter(({ segNo, next }) => segNo > afterSegNo && next.baseLsn <= flushedLsn)
}

function sealedOf(storage: JournalStorage): SealedSegment[] {
  const segments = segmentsOf(storage.list())
  return segments.flatMap((segment, index) => {
    const next = segments[index + 1]
    if (next === undefined || next.segNo !== segment.segNo + 1) return []
    return [{ ...segment, lastLsn: lsn(next.baseLsn - 1), next }]
  })
}

/** What still has to be archived, flushed or not. All segments are taken to be as large as the first of them. */
export function waitingOf(
  storage: JournalStorage,
  afterSegNo: number,
): { readonly waitingSegments: number; readonly waitingBytes: number } {
  const waiting = sealedOf(storage).filter(({ segNo }) => segNo > afterSegNo)
  const [first] = waiting
  return { waitingSegments: waiting.length, waitingBytes: first ? waiting.length * sizeOf(storage, first) : 0 }
}

function sizeOf(storage: JournalStorage, { name }: SealedSegment): number {
  const file = storage.openReadOnly(name)
  try {
    return file.size()
  } finally {
    file.close()
  }
}

/** 1 in a journal without a segment whose header can be read. */
export function newestTimeline(storage: JournalStorage): number {
  const headers = segmentsOf(storage.list()).map(({ name }) => readSegmentHeader(storage, name))
  return Math.max(1, ...headers.map((header) => header?.timeline ?? 1))
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
