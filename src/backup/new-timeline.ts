import { segmentHeaderBytes } from '../journal/options.ts'
import { encodeSegmentHeader } from '../journal/segment-header.ts'
import { segmentName } from '../journal/segment-name.ts'
import type { JournalFile, JournalStorage } from '../journal/storage.ts'
import type { Clock } from '../kernel/environment.ts'
import type { FetchedSegment } from './segment-walk.ts'

const copyBytes = 1_048_576

/**
 * Begins a timeline: a copy of the segment in which the other one is left, up to the entry that it is left at. It has the
 * same number and follows the same segment, so the hash chain is whole; only its header says another timeline. The journal
 * goes on in it.
 */
export async function beginTimeline(
  from: JournalStorage,
  { source, header, scanned }: FetchedSegment,
  timeline: number,
  to: JournalStorage,
  clock: Clock,
): Promise<void> {
  const name = segmentName(header.segNo, header.baseLsn)
  to.createNow(name, header.segmentBytes)
  const old = from.openReadOnly(source.name)
  const file = to.open(name)
  try {
    file.write([encodeSegmentHeader({ ...header, timeline, createdWallMs: clock.wallMs() })], 0)
    copy(old, file, segmentHeaderBytes, scanned.end)
    if (scanned.part !== null) file.write([scanned.part.frame], scanned.part.offset)
    await new Promise<void>((resolve, reject) => {
      file.flush((error) => (error === null ? resolve() : reject(error)))
    })
  } finally {
    old.close()
    file.close()
  }
}

function copy(from: JournalFile, to: JournalFile, start: number, end: number): void {
  for (let at = start; at < end; at += copyBytes) {
    const bytes = Buffer.allocUnsafe(Math.min(copyBytes, end - at))
    to.write([bytes.subarray(0, from.read(bytes, at))], at)
  }
}
