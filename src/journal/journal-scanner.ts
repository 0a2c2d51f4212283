import { assert } from '../kernel/assert.ts'
import { digestBytes } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { type Behind, hasUnwrittenSector, lookBehind } from './behind.ts'
import { damagedHeader, faultText } from './fault-text.ts'
import { decodeFrameHeader, frameBytes, hasSalt, previousDigestOf, resemblesFrame } from './frame.ts'
import type { BadPlace, JournalScan, Leftover, ScanEnd, ScannedFrame, ScanRequest } from './journal-scan.ts'
import { alignUp, frameHeaderBytes, journalLimits, segmentHeaderBytes } from './options.ts'
import type { TailState } from './recovery-table.ts'
import { chainFault, readSegmentChain, type SegmentFile } from './segment-chain.ts'
import { type Frame, type FrameFault, isZero, SegmentCursor } from './segment-cursor.ts'
import type { SegmentHeader } from './segment-header.ts'
import type { JournalFile, JournalStorage } from './storage.ts'
import { UnflushedFrames } from './unflushed-frames.ts'

/** R0 to R4: yields every valid frame in order and returns what there is to decide on. Changes nothing. */
export function* scanJournal(request: ScanRequest): Generator<ScannedFrame, JournalScan> {
  const { identity, newerVersion, segments } = readSegmentChain(request.storage, request.identity)
  const scanner = new JournalScanner(request, segments)
  if (identity === 'own') yield* scanner.frames()
  return { identity, newerVersion, ...scanner.result() }
}

type ScanResult = Omit<JournalScan, 'identity' | 'newerVersion'>

/** Walks the segments of one journal, frame by frame, until the chain ends, and then looks at what is behind the end. */
export class JournalScanner {
  private readonly request: ScanRequest
  private readonly segments: readonly SegmentFile[]
  private chain: JournalScan['chain'] = 'whole'
  private tail: TailState = 'clean'
  private floorLsn: Lsn
  private scannedFrom = 0
  private end: ScanEnd
  private bad: BadPlace | null = null
  private leftovers: Leftover[] = []
  private readonly unflushed = new UnflushedFrames()

  constructor(request: ScanRequest, segments: readonly SegmentFile[]) {
    this.request = request
    this.segments = segments
    // who replays from an LSN has applied everything before it, and only what is flushed is applied
    this.floorLsn = lsn(Math.max(request.floorLsn, request.replayFrom - 1))
    this.end = {
      segment: null,
      position: 0,
      nextLsn: request.base?.nextLsn ?? lsn(1),
      digest: request.base?.digest ?? Buffer.alloc(digestBytes),
      sealed: false,
      wallMs: 0,
    }
  }

  *frames(): Generator<ScannedFrame, void> {
    const [oldest] = this.segments
    if (oldest === undefined) return
    if (oldest.baseLsn > this.request.replayFrom) return this.startIsMissing(oldest)
    const first = this.firstToScan()
    this.scannedFrom = first
    if (this.stopsBefore(first)) return
    this.startAt(this.segmentAt(first))
    for (let index = first; index < this.segments.length; index++) {
      if (this.stopsAtChain(index) || this.stopsAtHeader(index)) return
      yield* this.framesOf(index)
      if (!this.end.sealed) return
    }
  }

  result(): ScanResult {
    const { chain, tail, floorLsn, segments, scannedFrom, end, bad, leftovers } = this
    this.unflushed.drop(floorLsn)
    return { chain, tail, floorLsn, segments, scannedFrom, end, bad, leftovers, unflushed: this.unflushed.list() }
  }

  private segmentAt(index: number): SegmentFile {
    const segment = this.segments[index]
    assert(segment, `there is no segment ${index}`)
    return segment
  }

  /** The segment of `replayFrom`, or an earlier one when that one's header never became durable. */
  private firstToScan(): number {
    let index = this.segments.findLastIndex(({ baseLsn }) => baseLsn <= this.request.replayFrom)
    while (index > 0 && this.segmentAt(index).header === null) index--
    return index
  }

  private startAt(segment: SegmentFile): void {
    const digest = segment.header?.prevSegDigest ?? digestBefore(this.request.storage, segment) ?? this.end.digest
    this.end = { ...this.end, nextLsn: segment.baseLsn, digest }
  }

  private *framesOf(index: number): Generator<ScannedFrame, void> {
    const segment = this.segmentAt(index)
    const header = segment.header as SegmentHeader
    const file = this.request.storage.openReadOnly(segment.name)
    try {
      this.end = { ...this.end, position: segmentHeaderBytes, segment, sealed: false }
      const sliceBytes = journalLimits.scanSliceBytes
      const cursor = new SegmentCursor(file, header, { ...this.end, check: this.request.check, sliceBytes })
      while (!cursor.sealed) {
        const next = cursor.next()
        if (typeof next === 'string') return this.chainEnds(index, file, header, next)
        this.passed(segment, next, cursor)
        yield { segment, frame: next }
      }
    } finally {
      file.close()
    }
  }

  private passed(segment: SegmentFile, { header, offset }: Frame, cursor: SegmentCursor): void {
    const { position, nextLsn, digest, sealed } = cursor
    this.end = { segment, position, nextLsn, digest, sealed, wallMs: header.wallMs }
    this.floorLsn = lsn(Math.max(this.floorLsn, header.durableLsn))
    // a seal holds no entry: it is known to be flushed once the entry after it is. The header goes with the first frame.
    const lastLsn = header.entryCount === 0 ? header.firstLsn : lsn(nextLsn - 1)
    const from = offset === segmentHeaderBytes ? 0 : offset
    this.unflushed.push({ segment: segment.name, from, to: position, lastLsn })
    this.unflushed.drop(header.durableLsn)
  }

  private startIsMissing(oldest: SegmentFile): void {
    const { replayFrom } = this.request
    this.chain = 'startMissing'
    this.bad = {
      segment: oldest.name,
      offset: 0,
      lsn: replayFrom,
      reason: `the oldest segment begins at LSN ${oldest.baseLsn}`,
    }
  }

  /** R1 for the segments that are not scanned: one is missing, damaged or out of place. */
  private stopsBefore(first: number): boolean {
    for (let index = 0; index <= first; index++) {
      const segment = this.segmentAt(index)
      const damaged = segment.header === null && index < first ? damagedHeader : null
      const reason = damaged ?? chainFault(segment, this.segments[index - 1] ?? null)
      if (reason === null || (index === 0 && first === 0)) continue
      this.chain = 'brokenBefore'
      this.bad = { segment: segment.name, offset: 0, lsn: segment.baseLsn, reason }
      const upTo = damaged === null ? index : index + 1
      this.leftovers = this.segments.slice(0, upTo).map(({ name }) => ({ segment: name, from: 0, usedEnd: 0 }))
      return true
    }
    return false
  }

  /** R1 for the segments that are scanned. */
  private stopsAtChain(index: number): boolean {
    const segment = this.segmentAt(index)
    const previous = index > this.scannedFrom ? this.segmentAt(index - 1) : null
    const reason = chainFault(segment, previous) ?? this.successionFault(segment) ?? this.unplaceable(segment)
    if (reason === null) return false
    this.chain = 'broken'
    this.bad = { segment: segment.name, offset: 0, lsn: this.end.nextLsn, reason }
    this.leaveSegmentsFrom(index)
    return true
  }

  private successionFault({ header }: SegmentFile): string | null {
    if (header === null) return null
    const { nextLsn, digest } = this.end
    if (header.baseLsn !== nextLsn)
      return `it begins at LSN ${header.baseLsn}, the previous segment ends before LSN ${nextLsn}`
    return header.prevSegDigest.equals(digest) ? null : 'it does not follow the last frame of the previous segment'
  }

  /** The very first segment may be torn as a whole; without a header a later one cannot be placed. */
  private unplaceable({ header, baseLsn }: SegmentFile): string | null {
    const first = this.request.base?.nextLsn ?? 1
    return header === null && this.end.segment === null && baseLsn > first ? damagedHeader : null
  }

  /** A header that is no header: never written by a crash around the change of segments, or damaged since. */
  private stopsAtHeader(index: number): boolean {
    const segment = this.segmentAt(index)
    if (segment.header !== null) return false
    this.bad = { segment: segment.name, offset: 0, lsn: this.end.nextLsn, reason: damagedHeader }
    const valid = this.leaveSegmentsFrom(index)
    if (this.headerIsUnwritten(segment)) this.tail = valid === 0 ? 'remains' : 'unwritten'
    else this.tail = valid === 0 && !this.request.strictEnd ? 'remains' : 'damaged'
    return true
  }

  private headerIsUnwritten({ name }: SegmentFile): boolean {
    const file = this.request.storage.openReadOnly(name)
    try {
      const bytes = Buffer.alloc(segmentHeaderBytes)
      file.read(bytes, 0)
      // only the first and the last sector of a sound header hold anything
      return isZero(bytes.subarray(0, 512)) || isZero(bytes.subarray(segmentHeaderBytes - 512))
    } finally {
      file.close()
    }
  }

  /** R3: what is behind the last valid frame. */
  private chainEnds(index: number, file: JournalFile, header: SegmentHeader, fault: FrameFault): void {
    const { position, nextLsn } = this.end
    // a header without a frame: it may be one that a failed flush left in memory only, and no floor vouches for it
    if (position === segmentHeaderBytes) {
      const lastLsn = lsn(Number.MAX_SAFE_INTEGER)
      this.unflushed.push({ segment: this.segmentAt(index).name, from: 0, to: position, lastLsn })
    }
    const here = this.note(lookBehind(file, position, nextLsn, header.salt))
    const later = this.leaveSegmentsFrom(index + 1)
    const name = this.segmentAt(index).name
    if (here.usedEnd > position) this.leftovers.unshift({ segment: name, from: position, usedEnd: here.usedEnd })
    if (here.usedEnd === position && index === this.segments.length - 1) return
    const offset = badOffset(file, this.end, header)
    this.bad = { segment: name, offset, lsn: nextLsn, reason: faultText[fault] }
    if (fault === 'misplaced' || fault === 'codec') this.tail = 'misplaced'
    else if (here.validFrames + later === 0) this.tail = this.endIsDamaged(file, offset, header) ? 'damaged' : 'remains'
    else this.tail = isUnwritten(file, offset, header) ? 'unwritten' : 'damaged'
  }

  /** Of bytes without a sound frame: a frame was there, in its place, as a whole. What a full disk cut short was none. */
  private endIsDamaged(file: JournalFile, offset: number, header: SegmentHeader): boolean {
    if (!this.request.strictEnd || isUnwritten(file, offset, header)) return false
    const head = Buffer.alloc(frameHeaderBytes)
    file.read(head, offset)
    return resemblesFrame(head, offset, header.salt)
  }

  /** Counts the valid frames in the segments that the chain does not reach. */
  private leaveSegmentsFrom(index: number): number {
    let valid = 0
    for (const segment of this.segments.slice(index)) {
      const file = this.request.storage.openReadOnly(segment.name)
      const behind = this.note(lookBehind(file, 0, this.end.nextLsn, segment.header?.salt ?? null))
      file.close()
      valid += behind.validFrames
      this.leftovers.push({ segment: segment.name, from: 0, usedEnd: behind.usedEnd })
    }
    return valid
  }

  private note(behind: Behind): Behind {
    this.floorLsn = lsn(Math.max(this.floorLsn, behind.durableLsn))
    return behind
  }
}

/**
 * What a segment with a damaged header follows, as its first frame says: a journal that has lost all of it goes on where
 * an archive ends that has what came before.
 */
function digestBefore(storage: JournalStorage, { name, baseLsn }: SegmentFile): Buffer | null {
  const file = storage.openReadOnly(name)
  try {
    const head = Buffer.alloc(frameHeaderBytes)
    file.read(head, segmentHeaderBytes)
    const frame = decodeFrameHeader(head, 0)
    const isFirst = frame?.firstLsn === baseLsn && frame.fileOffset === segmentHeaderBytes
    return isFirst ? previousDigestOf(head, 0) : null
  } finally {
    file.close()
  }
}

/**
 * Of the two places where the next frame may be, the one where it was. Zeros at the first say that it was never written
 * there, or that it was and is lost: the second one only counts when the frame at it is the wanted one, or was one before
 * it was damaged. It may also be a later frame, or the middle of one.
 */
function badOffset(file: JournalFile, { position, nextLsn }: ScanEnd, { blockBytes, salt }: SegmentHeader): number {
  const boundary = alignUp(position, blockBytes)
  const gap = Buffer.alloc(Math.min(frameHeaderBytes, boundary - position))
  if (!isZero(gap.subarray(0, file.read(gap, position)))) return position
  const head = Buffer.alloc(frameHeaderBytes)
  file.read(head, boundary)
  const sound = decodeFrameHeader(head, 0)
  if (sound === null) return resemblesFrame(head, boundary, salt) ? boundary : position
  return sound.firstLsn === nextLsn || sound.fileOffset !== boundary ? boundary : position
}

function isUnwritten(file: JournalFile, offset: number, { salt, segmentBytes }: SegmentHeader): boolean {
  const head = Buffer.alloc(frameHeaderBytes)
  if (file.read(head, offset) < head.length) return true
  const frame = decodeFrameHeader(head, 0)
  if (frame === null || frame.fileOffset !== offset || !hasSalt(head, 0, salt)) return hasUnwrittenSector(head, offset)
  const whole = Buffer.alloc(Math.min(frameBytes(frame.payloadBytes), segmentBytes - offset))
  return file.read(whole, offset) < whole.length || hasUnwrittenSector(whole, offset)
}
