import { readSmallObject } from '../archive/archive-identity.ts'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { type ArchivedSegment, listArchivedSegments } from '../archive/archived-segments.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'

/** A segment and where it lies. */
export interface StoredSegment extends ArchivedSegment {
  readonly target: ArchiveTarget
}

/** Where a timeline began, as `timelines/….json` says it. */
export interface TimelineBeginning {
  readonly timeline: number
  readonly parent: number
  /** The first entry that is not the parent's. */
  readonly fromLsn: number
}

/** Everything that there is to restore from. */
export interface Stock {
  /** Those of the archive before those of the backup, which may hold the beginning of a segment only. */
  readonly segments: readonly StoredSegment[]
  readonly beginnings: ReadonlyMap<number, TimelineBeginning>
  /** The highest timeline that is named anywhere; 0 without any. */
  readonly newestTimeline: number
}

/** @param targets the archive before the backup. */
export async function takeStock(targets: readonly ArchiveTarget[]): Promise<Stock> {
  const segments: StoredSegment[] = []
  const beginnings = new Map<number, TimelineBeginning>()
  for (const target of targets) {
    for (const segment of await listArchivedSegments(target)) segments.push({ ...segment, target })
    for (const name of await target.list('timelines/')) {
      const beginning = await readBeginning(target, name)
      if (beginning !== null) beginnings.set(beginning.timeline, beginning)
    }
  }
  const newestTimeline = Math.max(0, ...segments.map(({ timeline }) => timeline), ...beginnings.keys())
  return { segments, beginnings, newestTimeline }
}

async function readBeginning(target: ArchiveTarget, name: string): Promise<TimelineBeginning | null> {
  if (!/^timelines\/\d{8}\.json$/.test(name)) return null
  const bytes = await readSmallObject(target, name)
  const { timeline, parent, fromLsn } = parse(bytes)
  const isSound = [timeline, parent, fromLsn].every(Number.isSafeInteger) && archiveNames.timeline(timeline) === name
  if (isSound && parent < timeline) return { timeline, parent, fromLsn }
  const reason = 'it does not say where its timeline began'
  throw new CommanderError('archive_corrupt', `${name} in the archive ${target.location} is damaged: ${reason}`, {
    details: { location: target.location, object: name, reason },
  })
}

function parse(bytes: Buffer): TimelineBeginning {
  try {
    return (JSON.parse(bytes.toString('utf8')) ?? {}) as TimelineBeginning
  } catch {
    return {} as TimelineBeginning
  }
}

/** A timeline, and those that it came from: newest first. */
export function lineageOf({ segments, beginnings }: Stock, timeline: number): number[] {
  const lineage: number[] = []
  const present = new Set(segments.map((segment) => segment.timeline))
  for (let at = timeline; at > 0; ) {
    lineage.push(at)
    // Where nobody says, the hash chain will: it is most likely the one before.
    at = beginnings.get(at)?.parent ?? Math.max(0, ...[...present].filter((other) => other < at))
  }
  return lineage
}

/**
 * The segments that the history of a timeline is made of, by number, oldest first; of each all copies there are. Those of an
 * older timeline end where a newer one begins.
 */
export function historyOf(stock: Stock, timeline: number): StoredSegment[][] {
  const history: StoredSegment[][] = []
  let until = Number.POSITIVE_INFINITY
  for (const at of lineageOf(stock, timeline)) {
    const own = stock.segments.filter((segment) => segment.timeline === at && segment.segNo < until)
    const bySegNo = [...Map.groupBy(own, ({ segNo }) => segNo).values()]
    history.unshift(...bySegNo.sort((a, b) => (a[0]?.segNo ?? 0) - (b[0]?.segNo ?? 0)))
    until = history[0]?.[0]?.segNo ?? until
  }
  return history
}

/** The newest that has segments; 1 when none has. */
export const newestWithSegments = ({ segments }: Stock): number =>
  Math.max(1, ...segments.map(({ timeline }) => timeline))

export const isNotFound = (error: unknown): boolean => isCommanderError(error) && error.code === 'not_found'
