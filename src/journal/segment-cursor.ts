import { digestBytes } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import {
  decodeFrameHeader,
  type FrameHeader,
  followsDigest,
  frameBytes,
  frameDigest,
  frameFlags,
  hasSalt,
  type PayloadCheck,
  payloadHolds,
} from './frame.ts'
import { alignUp, frameHeaderBytes, frameOverheadBytes, journalLimits, segmentHeaderBytes } from './options.ts'
import type { SegmentHeader } from './segment-header.ts'
import { SliceReader } from './slice-reader.ts'
import type { JournalFile } from './storage.ts'

export interface Frame {
  readonly header: FrameHeader
  readonly offset: number
  /** Shares memory with the slice that was read; stays valid, because slices are never used again. */
  readonly payload: Buffer
  readonly digest: Buffer
}

/** Where the chain stands: what the next frame must follow. */
export interface ChainPoint {
  readonly nextLsn: Lsn
  readonly digest: Buffer
}

export interface CursorStart extends ChainPoint {
  readonly position: number
  readonly check: PayloadCheck
  /** How much to read at once. */
  readonly sliceBytes: number
}

/** Why the bytes at a place are not the next frame. `misplaced`: a sound frame header that was made for another place. */
export type FrameFault = 'zeros' | 'header' | 'misplaced' | 'length' | 'lsn' | 'chain' | 'codec' | 'payload'

/**
 * Reads the frames of one segment in order. The next frame is at the end of the last one or, when the writer had started
 * a flush in between, at the next block boundary; its place, salt, LSN and previous digest prove that it is the one.
 */
export class SegmentCursor {
  readonly header: SegmentHeader
  /** End of the last frame. */
  position: number
  nextLsn: Lsn
  digest: Buffer
  sealed = false
  private readonly slices: SliceReader
  private readonly check: PayloadCheck

  constructor(file: JournalFile, header: SegmentHeader, start: CursorStart) {
    this.header = header
    this.position = start.position
    this.nextLsn = start.nextLsn
    this.digest = start.digest
    this.check = start.check
    this.slices = new SliceReader(file, start.sliceBytes)
  }

  /** The next frame, or the fault of the bytes that are there instead. After a seal there is none to ask for. */
  next(): Frame | FrameFault {
    const boundary = alignUp(this.position, this.header.blockBytes)
    const here = this.frameAt(this.position)
    if (typeof here !== 'string') return this.accept(here)
    if (boundary === this.position) return here
    const there = this.frameAt(boundary)
    if (typeof there !== 'string') return this.accept(there)
    return here === 'zeros' || (here === 'header' && there !== 'zeros' && there !== 'header') ? there : here
  }

  /** Forgets what was read ahead: the writer may have written there since. */
  refresh(): void {
    this.slices.drop()
  }

  private accept(frame: Frame): Frame {
    this.position = frame.offset + frameBytes(frame.header.payloadBytes)
    this.nextLsn = lsn(frame.header.firstLsn + frame.header.entryCount)
    this.digest = frame.digest
    this.sealed = (frame.header.flags & frameFlags.seal) !== 0
    return frame
  }

  private frameAt(offset: number): Frame | FrameFault {
    if (offset + frameOverheadBytes > this.header.segmentBytes) return 'zeros'
    const head = this.slices.at(offset, frameHeaderBytes)
    const header = decodeFrameHeader(head, 0)
    if (header === null) return isZero(head) ? 'zeros' : 'header'
    if (header.fileOffset !== offset || !hasSalt(head, 0, this.header.salt)) return 'misplaced'
    if (header.segEpoch !== this.header.segEpoch) return 'misplaced'
    if (header.codec !== 0) return 'codec'
    if (header.firstLsn !== this.nextLsn) return 'lsn'
    if (!followsDigest(head, 0, this.digest)) return 'chain'
    return this.wholeFrame(header, offset)
  }

  private wholeFrame(header: FrameHeader, offset: number): Frame | FrameFault {
    const bytes = frameBytes(header.payloadBytes)
    if (header.payloadBytes % 8 !== 0 || offset + bytes > this.header.segmentBytes) return 'length'
    const whole = this.slices.at(offset, bytes)
    if (whole.length < bytes || !payloadHolds(whole, 0, header.payloadBytes, this.check)) return 'payload'
    const payload = whole.subarray(frameHeaderBytes, bytes - digestBytes)
    return { header, offset, payload, digest: frameDigest(whole, 0, header.payloadBytes) }
  }
}

const zeros = Buffer.alloc(4096)

export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const length = Math.min(zeros.length, bytes.length - at)
    if (bytes.compare(zeros, 0, length, at, at + length) !== 0) return false
  }
  return true
}

/** Over all frames of a segment, from the first one on. */
export const cursorFromStart = (
  file: JournalFile,
  header: SegmentHeader,
  check: PayloadCheck,
  sliceBytes: number = journalLimits.scanSliceBytes,
): SegmentCursor =>
  new SegmentCursor(file, header, {
    position: segmentHeaderBytes,
    nextLsn: header.baseLsn,
    digest: header.prevSegDigest,
    check,
    sliceBytes,
  })
