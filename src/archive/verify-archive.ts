import { faultText } from '../journal/fault-text.ts'
import { readSegmentHeader } from '../journal/segment-chain.ts'
import { cursorFromStart } from '../journal/segment-cursor.ts'
import type { SegmentHeader } from '../journal/segment-header.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { readArchiveIdentity } from './archive-identity.ts'
import { type ArchiveTarget, archiveNames } from './archive-target.ts'
import { type ArchivedSegment, listArchivedSegments, parentOfTimeline } from './archived-segments.ts'

/** One object that is not as it must be. */
export interface ArchiveFault {
  readonly object: string
  /** Of the decompressed segment; 0 where it is the object as a whole. */
  readonly offset: number
  /** The entry that should be there; `null` where that cannot be said. */
  readonly lsn: number | null
  readonly reason: string
}

export interface ArchiveSummary {
  readonly status: 'ok' | 'corrupt'
  readonly segments: number
  readonly frames: number
  /** Of the entries. */
  readonly bytes: number
  readonly timelines: readonly number[]
  /** 0 in an archive without segments. */
  readonly firstLsn: number
  readonly lastLsn: number
  /** In the order of the objects; of each segment the first fault. */
  readonly faults: readonly ArchiveFault[]
}

/** Where one segment at a time is unpacked to be read. */
export interface Scratch {
  readonly storage: JournalStorage
  /** Leaves it there under its name. @throws CommanderError `archive_corrupt` with details { reason } */
  fetch(segment: ArchivedSegment): Promise<void>
}

/** Where a sound segment ends: what its successor must go on from. */
interface SegmentEnd {
  readonly nextLsn: number
  readonly digest: Buffer
}

/**
 * Checks every segment of an archive: that it unpacks with its checksum, that its header says what its name says and names
 * this journal, each frame with its CRC and its digest, the seal, and that it goes on where the one before it ended, with
 * nothing missing in between, along the timelines that came from each other.
 * @throws CommanderError `archive_unavailable`: the place cannot be read, which says nothing of what is in it
 */
export async function verifyArchive(target: ArchiveTarget, scratch: Scratch): Promise<ArchiveSummary> {
  const verifier = new ArchiveVerifier(target, scratch)
  await verifier.run()
  return verifier.summary()
}

class ArchiveVerifier {
  readonly #target: ArchiveTarget
  readonly #scratch: Scratch
  readonly #faults: ArchiveFault[] = []
  /** By timeline and number; of a damaged segment nothing. */
  readonly #ends = new Map<string, SegmentEnd | null>()
  readonly #parents = new Map<number, number | null>()
  #segments: readonly ArchivedSegment[] = []
  #journalId: string | null = null
  #frames = 0
  #bytes = 0
  #firstLsn = 0
  #lastLsn = 0

  constructor(target: ArchiveTarget, scratch: Scratch) {
    this.#target = target
    this.#scratch = scratch
  }

  async run(): Promise<void> {
    await this.#noting(archiveNames.identity, null, async () => {
      this.#journalId = (await readArchiveIdentity(this.#target))?.journalId ?? null
    })
    this.#segments = await listArchivedSegments(this.#target)
    for (const timeline of this.#timelines()) {
      await this.#noting(archiveNames.timeline(timeline), null, async () => {
        this.#parents.set(timeline, await parentOfTimeline(this.#target, timeline))
      })
    }
    for (const segment of this.#segments) await this.#verify(segment)
  }

  summary(): ArchiveSummary {
    return {
      status: this.#faults.length === 0 ? 'ok' : 'corrupt',
      segments: this.#segments.length,
      frames: this.#frames,
      bytes: this.#bytes,
      timelines: this.#timelines(),
      firstLsn: this.#firstLsn,
      lastLsn: this.#lastLsn,
      faults: this.#faults,
    }
  }

  #timelines(): number[] {
    return [...new Set(this.#segments.map(({ timeline }) => timeline))]
  }

  async #verify(segment: ArchivedSegment): Promise<void> {
    this.#ends.set(keyOf(segment.timeline, segment.segNo), null)
    await this.#noting(segment.object, segment.baseLsn, async () => {
      await this.#scratch.fetch(segment)
      try {
        this.#read(segment)
      } finally {
        this.#scratch.storage.remove(segment.name)
      }
    })
  }

  #read(segment: ArchivedSegment): void {
    const { storage } = this.#scratch
    const header = readSegmentHeader(storage, segment.name)
    // Fetching it has looked at the header already.
    if (header === null) return this.#note(segment.object, 0, segment.baseLsn, 'its header is damaged')
    const reason = this.#foreignTo(header) ?? this.#outOfLine(segment, header)
    if (reason !== null) this.#note(segment.object, 0, segment.baseLsn, reason)
    const end = this.#readFrames(segment, header)
    if (end === null) return
    this.#ends.set(keyOf(segment.timeline, segment.segNo), end)
    if (this.#firstLsn === 0) this.#firstLsn = segment.baseLsn
    this.#lastLsn = Math.max(this.#lastLsn, end.nextLsn - 1)
  }

  #readFrames({ object, name }: ArchivedSegment, header: SegmentHeader): SegmentEnd | null {
    const file = this.#scratch.storage.openReadOnly(name)
    try {
      const cursor = cursorFromStart(file, header, 'both')
      while (!cursor.sealed) {
        const frame = cursor.next()
        if (typeof frame === 'string') {
          this.#note(object, cursor.position, cursor.nextLsn, faultText[frame])
          return null
        }
        this.#frames++
        this.#bytes += frame.payload.length
      }
      return { nextLsn: cursor.nextLsn, digest: cursor.digest }
    } finally {
      file.close()
    }
  }

  #foreignTo({ journalId }: SegmentHeader): string | null {
    const found = journalId.toString('hex')
    this.#journalId ??= found
    return found === this.#journalId ? null : `it is of the journal ${found}, the archive is of ${this.#journalId}`
  }

  /** The oldest segment of all has nothing before it: an archive may be begun at any time. */
  #outOfLine({ timeline, segNo }: ArchivedSegment, header: SegmentHeader): string | null {
    const before = this.#endBefore(timeline, segNo)
    if (before === undefined) {
      const isFirst = !this.#segments.some((other) => other.segNo < segNo && this.#isInLine(other.timeline, timeline))
      return isFirst ? null : `segment ${segNo - 1} is missing before it`
    }
    if (before === null) return null // damaged, and said so
    if (header.baseLsn !== before.nextLsn)
      return `it begins at LSN ${header.baseLsn}, the segment before it ends before LSN ${before.nextLsn}`
    return header.prevSegDigest.equals(before.digest)
      ? null
      : 'it does not follow the last frame of the segment before it'
  }

  #endBefore(timeline: number, segNo: number): SegmentEnd | null | undefined {
    for (let at: number | null = timeline; at !== null; at = this.#parents.get(at) ?? null) {
      const end = this.#ends.get(keyOf(at, segNo - 1))
      if (end !== undefined) return end
    }
    return undefined
  }

  #isInLine(older: number, timeline: number): boolean {
    for (let at: number | null = timeline; at !== null; at = this.#parents.get(at) ?? null)
      if (at === older) return true
    return false
  }

  #note(object: string, offset: number, lsn: number | null, reason: string): void {
    this.#faults.push({ object, offset, lsn, reason })
  }

  /** Damage of an object is a finding; a place that cannot be read is none. */
  async #noting(object: string, lsn: number | null, run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'archive_corrupt') throw error
      const { reason = error.message } = (error.details ?? {}) as { readonly reason?: string }
      this.#note(object, 0, lsn, reason)
    }
  }
}

const keyOf = (timeline: number, segNo: number): string => `${timeline}/${segNo}`

/** For those who want the first fault as an error. */
export function archiveFaultError(location: string, { object, offset, lsn, reason }: ArchiveFault): CommanderError {
  const at = lsn === null ? '' : ` at byte ${offset}, LSN ${lsn}`
  return new CommanderError('archive_corrupt', `${object} in the archive ${location} is damaged${at}: ${reason}`, {
    details: { location, object, offset, lsn, reason },
  })
}
