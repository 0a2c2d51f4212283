import { pipeline } from 'node:stream/promises'
import { segmentHeaderBytes } from '../journal/options.ts'
import { readSegmentHeader } from '../journal/segment-chain.ts'
import { cursorFromStart, type SegmentCursor } from '../journal/segment-cursor.ts'
import { decodeSegmentHeader } from '../journal/segment-header.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalFile, JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { ArchiveTarget } from './archive-target.ts'
import { type ArchivedSegment, listArchivedSegments } from './archived-segments.ts'
import { newestTimeline } from './sealed-segments.ts'
import type { SegmentCodec } from './segment-codec.ts'

/** What an archive holds of a journal's history behind the end of that journal. */
export interface ArchivedBeyond {
  /** The newest segment there. */
  readonly object: string
  readonly timeline: number
  /** The last entry of the journal. */
  readonly endLsn: Lsn
  /** The archive has, or had to have seen, at least this entry. */
  readonly lastLsn: Lsn
}

/**
 * Finds out whether the archive goes on where the journal ends: a segment gets there only when an entry behind it is flushed,
 * so one that is the journal's newest or newer says that flushed entries are missing here. `null`: there is none; or it
 * holds another history, as after a copy of the database wrote there, which is a conflict and no loss.
 *
 * One look at names, of those only that come behind; only when there is such a segment it is read.
 *
 * @throws CommanderError `archive_unavailable`
 */
export async function archivedBeyond(
  target: ArchiveTarget,
  storage: JournalStorage,
  codec: SegmentCodec,
): Promise<ArchivedBeyond | null> {
  const current = segmentsOf(storage.list()).at(-1)
  const header = current === undefined ? null : readSegmentHeader(storage, current.name)
  if (current === undefined || header === null) return null
  const timeline = newestTimeline(storage)
  const beyond = await listArchivedSegments(target, timeline, current.segNo)
  const [first, last] = [beyond[0], beyond.at(-1)]
  if (first === undefined || last === undefined) return null
  const file = storage.openReadOnly(current.name)
  try {
    const own = cursorFromStart(file, header, 'both')
    const archivedLsn = first.segNo === current.segNo ? await lastOf(target, first, codec, own) : toEnd(own)
    if (archivedLsn === null) return null
    const endLsn = lsn(own.nextLsn - 1)
    return { object: last.object, timeline, endLsn, lastLsn: lsn(Math.max(archivedLsn, last.baseLsn, own.nextLsn)) }
  } finally {
    file.close()
  }
}

/** The last entry of an archived segment that begins with the frames of our own; `null` when it does not. */
async function lastOf(
  target: ArchiveTarget,
  segment: ArchivedSegment,
  codec: SegmentCodec,
  own: SegmentCursor,
): Promise<Lsn | null> {
  const bytes = await unpacked(target, segment, codec)
  const header = decodeSegmentHeader(bytes.subarray(0, segmentHeaderBytes))
  if (header === null) return null
  const archived = cursorFromStart(fileOf(segment.name, bytes), header, 'both')
  while (!own.sealed && typeof own.next() !== 'string')
    if (archived.sealed || typeof archived.next() === 'string' || !archived.digest.equals(own.digest)) return null
  return toEnd(archived)
}

function toEnd(cursor: SegmentCursor): Lsn {
  while (!cursor.sealed && typeof cursor.next() !== 'string');
  return lsn(cursor.nextLsn - 1)
}

async function unpacked(target: ArchiveTarget, { object }: ArchivedSegment, codec: SegmentCodec): Promise<Buffer> {
  const parts: Buffer[] = []
  await pipeline(await target.read(object), codec.decompress(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) parts.push(chunk)
  })
  return Buffer.concat(parts)
}

const fileOf = (name: string, bytes: Buffer): JournalFile => ({
  name,
  size: () => bytes.length,
  read: (target, position) => bytes.copy(target, 0, position),
  write: () => {},
  flush: (done) => done(null),
  close: () => {},
})

export function missingHere(location: string, { object, timeline, endLsn, lastLsn }: ArchivedBeyond): CommanderError {
  return new CommanderError(
    'journal_corrupt',
    `the journal ends at LSN ${endLsn} of timeline ${timeline}, but the archive ${location} holds ${object}, so entries up to ` +
      `LSN ${lastLsn} at least had been flushed (R7): acknowledged entries are missing. Put the segments back from the archive, ` +
      `restore from it to another directory, or start once with --accept-loss to go on from LSN ${endLsn + 1}`,
    { details: { location, object, timeline, lsn: endLsn + 1, floorLsn: lastLsn, rule: 'R7' } },
  )
}
