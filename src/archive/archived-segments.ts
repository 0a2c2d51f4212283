import { type SegmentName, segmentName, segmentsOf } from '../journal/segment-name.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import { readSmallObject } from './archive-identity.ts'
import { type ArchiveTarget, archiveNames } from './archive-target.ts'

/** A segment in an archive or a backup, as its name says. */
export interface ArchivedSegment extends SegmentName {
  /** Under which it lies; its own header may say an older one, when this one goes on behind it. */
  readonly timeline: number
  /** Its name in the archive; `name` is that of the segment's file. */
  readonly object: string
}

const pattern = /^segments\/(\d{8})\/(.+)\.zst$/

/**
 * All segments that are there, by timeline and then by number.
 * @param timeline - only those of this one; default: of all
 * @param fromSegNo - only those of this number on
 * @throws CommanderError `archive_unavailable`
 */
export async function listArchivedSegments(
  target: ArchiveTarget,
  timeline?: number,
  fromSegNo = 0,
): Promise<ArchivedSegment[]> {
  const own = timeline === undefined ? archiveNames.segments : archiveNames.segment(timeline, '').replace(/\.zst$/, '')
  const after = timeline === undefined ? undefined : own + segmentName(fromSegNo, lsn(0))
  const names = await target.list(own, after)
  const found = names.flatMap((name) => archivedSegment(name) ?? []).filter(({ segNo }) => segNo >= fromSegNo)
  return found.sort((a, b) => a.timeline - b.timeline || a.segNo - b.segNo || a.baseLsn - b.baseLsn)
}

/** `null` for the name of any other object. */
export function archivedSegment(object: string): ArchivedSegment | null {
  const [, timeline, file] = pattern.exec(object) ?? []
  const [segment] = file === undefined ? [] : segmentsOf([file])
  return segment === undefined ? null : { ...segment, timeline: Number(timeline), object }
}

/**
 * The segments that the history of this timeline is made of, oldest first: its own, and of the timelines that it came from
 * those before. Gaps are not looked for.
 * @throws CommanderError `archive_unavailable` | `archive_corrupt`
 */
export async function segmentsOfTimeline(target: ArchiveTarget, timeline: number): Promise<ArchivedSegment[]> {
  const line: ArchivedSegment[] = []
  let until = Number.MAX_SAFE_INTEGER
  for (let at: number | null = timeline; at !== null; at = await parentOfTimeline(target, at)) {
    const older = (await listArchivedSegments(target, at)).filter(({ segNo }) => segNo < until)
    line.unshift(...older)
    until = line[0]?.segNo ?? until
  }
  return line
}

/** `null` for the first, and where the archive was begun later than the timeline. */
export async function parentOfTimeline(target: ArchiveTarget, timeline: number): Promise<number | null> {
  const name = archiveNames.timeline(timeline)
  const bytes = await readSmallObject(target, name).catch((error: unknown) => {
    if (isCommanderError(error) && error.code === 'not_found') return null
    throw error
  })
  if (bytes === null) return null
  const parent = parse(bytes)?.parent
  if (typeof parent === 'number' && Number.isInteger(parent) && parent > 0 && parent < timeline) return parent
  const reason = 'it does not name an older timeline as its parent'
  throw new CommanderError('archive_corrupt', `${name} in the archive ${target.location} is damaged: ${reason}`, {
    details: { location: target.location, object: name, reason },
  })
}

function parse(bytes: Buffer): { readonly parent?: unknown } | null {
  try {
    return JSON.parse(bytes.toString('utf8')) as { readonly parent?: unknown } | null
  } catch {
    return null
  }
}
