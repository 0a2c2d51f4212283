import { isCommanderError } from '../kernel/errors.ts'
import { segmentHeaderBytes } from './options.ts'
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts'
import { type SegmentName, segmentsOf } from './segment-name.ts'
import type { JournalStorage } from './storage.ts'

export interface Identity {
  readonly journalId: Uint8Array
  readonly serverId: Uint8Array
}

export interface SegmentFile extends SegmentName {
  /** `null` when its bytes are no sound header. */
  readonly header: SegmentHeader | null
}

/** R0 and R1: what the segments say of themselves. */
export interface SegmentChain {
  readonly identity: 'own' | 'foreign' | 'newer'
  readonly segments: readonly SegmentFile[]
  /** The version of the format, when it is newer than this program's. */
  readonly newerVersion: number | null
}

export function readSegmentHeader(storage: JournalStorage, name: string): SegmentHeader | null {
  const file = storage.openReadOnly(name)
  try {
    const bytes = Buffer.alloc(segmentHeaderBytes)
    return decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)))
  } finally {
    file.close()
  }
}

/** Reads the headers of all segments. Without an identity the oldest sound header's is taken. */
export function readSegmentChain(storage: JournalStorage, identity: Identity | null): SegmentChain {
  try {
    const segments = segmentsOf(storage.list()).map((name) => ({
      ...name,
      header: readSegmentHeader(storage, name.name),
    }))
    const first = segments.find(({ header }) => header !== null)?.header
    const foreign = first && identity && !isOf(first, identity)
    return { identity: foreign ? 'foreign' : 'own', segments, newerVersion: null }
  } catch (error) {
    if (!isCommanderError(error) || error.code !== 'unsupported_version') throw error
    const { version } = error.details as { version: number }
    return { identity: 'newer', segments: [], newerVersion: version }
  }
}

export function isOf(header: SegmentHeader, { journalId, serverId }: Identity): boolean {
  return header.journalId.equals(journalId) && header.serverId.equals(serverId)
}

/** What is wrong with a segment as the successor of another one; `null` when nothing is. */
export function chainFault(segment: SegmentFile, previous: SegmentFile | null): string | null {
  const { header } = segment
  if (previous !== null && segment.segNo === previous.segNo) return `there are two segments ${segment.segNo}`
  if (previous !== null && segment.segNo !== previous.segNo + 1) return `segment ${previous.segNo + 1} is missing`
  if (previous !== null && segment.baseLsn < previous.baseLsn) return "its first LSN is below the previous segment's"
  if (header === null) return null
  if (header.segNo !== segment.segNo || header.baseLsn !== segment.baseLsn)
    return `its header says segment ${header.segNo} from LSN ${header.baseLsn}`
  if (previous?.header && !isOf(header, previous.header)) return 'its header names another journal'
  if (previous?.header && header.timeline < previous.header.timeline)
    return "its timeline is older than the previous one's"
  return null
}
