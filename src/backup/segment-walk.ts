import { readSegmentHeader } from '../journal/segment-chain.ts'
import type { SegmentHeader } from '../journal/segment-header.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { isNotFound, type StoredSegment } from './lineage.ts'
import { type ScannedSegment, type ScanOptions, scanSegment } from './segment-scan.ts'

/** A segment that was brought, proven, and found to follow the one before. */
export interface FetchedSegment {
  readonly source: StoredSegment
  readonly header: SegmentHeader
  readonly scanned: ScannedSegment
  readonly bytes: number
}

export type FetchSegment = (segment: StoredSegment) => Promise<{ readonly bytes: number }>

export interface WalkOptions extends ScanOptions {
  /** Copies of each segment, by number, oldest first. */
  readonly history: readonly (readonly StoredSegment[])[]
  /** The first entry that is wanted. */
  readonly fromLsn: Lsn
  /** 16 bytes. */
  readonly journalId: Uint8Array
  /** Where segments are brought to. Whoever takes one removes it. */
  readonly storage: JournalStorage
  /** Brings one there, under the name of its file: `fetchArchivedSegment`. */
  readonly fetchSegment: FetchSegment
  readonly progress: (what: string) => void
}

/**
 * Brings the segments from an entry on, one after the other along the hash chain, until the goal or the end.
 *
 * @throws CommanderError `archive_corrupt` with details { object, reason }: one is missing, damaged, or does not follow;
 * `foreign_database`; `archive_unavailable`
 */
export async function* walkSegments(options: WalkOptions): AsyncGenerator<FetchedSegment, void> {
  const { history, fromLsn } = options
  const first = history.findLastIndex(([segment]) => segment !== undefined && segment.baseLsn <= fromLsn)
  if (first < 0) return
  let before: FetchedSegment | null = null
  for (const copies of history.slice(first)) {
    const segment: FetchedSegment = await fetchCopy(options, copies, before)
    yield segment
    if (segment.scanned.isLast) return
    before = segment
  }
}

/**
 * Of several copies the first that is there and follows; the archive's are first, and whole. Where such a one is damaged, a
 * backup's beginning of it is enough only for a goal that lies in that: what the damaged one held is not left out unsaid.
 */
async function fetchCopy(
  options: WalkOptions,
  copies: readonly StoredSegment[],
  before: FetchedSegment | null,
): Promise<FetchedSegment> {
  let failure: CommanderError | null = null
  for (const copy of copies) {
    const gap = before === null ? null : gapBetween(before, copy)
    if (gap !== null) throw gap
    try {
      const segment = await bring(options, copy, before)
      if (failure === null || segment.scanned.isSealed || segment.scanned.isLast) return segment
    } catch (error) {
      if (!(error instanceof CommanderError) || error.code !== 'archive_corrupt') throw error
      failure ??= error
    }
  }
  throw failure ?? new CommanderError('internal', 'a segment has no copy')
}

function gapBetween({ source, header, scanned }: FetchedSegment, next: StoredSegment): CommanderError | null {
  if (!scanned.isSealed)
    return corrupt(
      source,
      `only its beginning is there, up to LSN ${scanned.lastLsn}; the whole segment is missing, and ${next.object} comes after it`,
    )
  if (next.segNo === header.segNo + 1) return null
  return corrupt(next, `segment ${header.segNo + 1}, which must come before it, is missing`)
}

async function bring(
  options: WalkOptions,
  copy: StoredSegment,
  before: FetchedSegment | null,
): Promise<FetchedSegment> {
  const { storage, journalId, fetchSegment, progress } = options
  progress(copy.object)
  const { bytes } = await fetchSegment(copy).catch((error: unknown) => {
    throw isNotFound(error) ? corrupt(copy, 'it was listed, and is not there') : error
  })
  const header = readSegmentHeader(storage, copy.name)
  if (header === null) throw corrupt(copy, 'its header is damaged')
  if (!header.journalId.equals(journalId)) throw foreign(copy, header)
  if (before !== null && !header.prevSegDigest.equals(before.scanned.sealDigest))
    throw corrupt(copy, `it does not follow ${before.source.object}: its history is another one`)
  const file = storage.openReadOnly(copy.name)
  try {
    const scanned = scanSegment(file, header, options)
    if ('reason' in scanned) {
      const { offset, lsn, reason } = scanned
      throw corrupt(copy, `at byte ${offset}, where LSN ${lsn} should be: ${reason}`)
    }
    return { source: copy, header, scanned, bytes }
  } finally {
    file.close()
  }
}

export function corrupt({ target, object }: Pick<StoredSegment, 'target' | 'object'>, reason: string): CommanderError {
  return new CommanderError('archive_corrupt', `${object} in ${target.location} cannot be used: ${reason}`, {
    details: { location: target.location, object, reason },
  })
}

const foreign = ({ target, object }: StoredSegment, header: SegmentHeader): CommanderError =>
  new CommanderError(
    'foreign_database',
    `${object} in ${target.location} is of the database ${header.journalId.toString('hex')}, not of the one that is restored`,
    { details: { location: target.location, object } },
  )
