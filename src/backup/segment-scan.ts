import type { CheckpointCompleted } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { decodeEntry } from '../actions/decode.ts'
import { codeOf, lengthOf, padded } from '../actions/entry-layout.ts'
import { bytesOfEntries } from '../actions/entry-portion.ts'
import { faultText } from '../journal/fault-text.ts'
import { encodeFrame, frameBytes } from '../journal/frame.ts'
import { frameHeaderBytes, segmentHeaderBytes } from '../journal/options.ts'
import { cursorFromStart, type Frame, type SegmentCursor } from '../journal/segment-cursor.ts'
import type { SegmentHeader } from '../journal/segment-header.ts'
import type { JournalFile } from '../journal/storage.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { entriesWithin, isReached, lastLsnOf, type RestoreGoal } from './restore-goal.ts'

/** What one segment says, as far as it is wanted. */
export interface ScannedSegment {
  /** The last entry that is wanted; one less than the segment's first when none is. */
  readonly lastLsn: Lsn
  /** Of the last frame that is wanted, whole or in part. */
  readonly wallMs: number | null
  /** End of the last frame that is wanted as a whole. */
  readonly end: number
  /** A frame of which only some entries are wanted, made anew with those; it lies at `end` or at the next block. */
  readonly part: { readonly offset: number; readonly frame: Buffer } | null
  /** The goal lies here: nothing behind is wanted. */
  readonly isLast: boolean
  /** Sealed: a segment follows. */
  readonly isSealed: boolean
  readonly sealDigest: Buffer
  /** When the first frame was written that is not wanted. */
  readonly nextWallMs: number | null
  readonly checkpoints: readonly CheckpointCompleted[]
  /** Digests of the frames that end at the entries asked for. */
  readonly digests: ReadonlyMap<Lsn, string>
}

export interface ScanOptions {
  readonly goal: RestoreGoal
  /** Entries whose frame's digest is wanted. */
  readonly digestsOf: ReadonlySet<Lsn>
}

/** Why a segment that was brought is not sound. */
export interface SegmentFault {
  readonly offset: number
  readonly lsn: Lsn
  readonly reason: string
}

/** Proves a segment, frame by frame, and finds where the goal lies in it. */
export function scanSegment(
  file: JournalFile,
  header: SegmentHeader,
  options: ScanOptions,
): ScannedSegment | SegmentFault {
  return new Scan(file, header, options).run()
}

class Scan {
  readonly #cursor: SegmentCursor
  readonly #header: SegmentHeader
  readonly #options: ScanOptions
  readonly #checkpoints: CheckpointCompleted[] = []
  readonly #digests = new Map<Lsn, string>()
  #lastLsn: Lsn
  #wallMs: number | null = null
  #end = segmentHeaderBytes

  constructor(file: JournalFile, header: SegmentHeader, options: ScanOptions) {
    this.#cursor = cursorFromStart(file, header, 'both')
    this.#header = header
    this.#options = options
    this.#lastLsn = lsn(header.baseLsn - 1)
  }

  run(): ScannedSegment | SegmentFault {
    const cursor = this.#cursor
    const { goal } = this.#options
    while (!cursor.sealed && !isReached(goal, this.#lastLsn)) {
      const { digest } = cursor
      const frame = cursor.next()
      if (frame === 'zeros') return this.#result(false)
      if (typeof frame === 'string') return { offset: cursor.position, lsn: cursor.nextLsn, reason: faultText[frame] }
      const count = entriesWithin(goal, frame.header)
      if (count < frame.header.entryCount) return this.#stopsIn(frame, count, digest)
      if (frame.header.entryCount > 0) this.#take(frame, cursor.position)
    }
    return this.#result(!cursor.sealed)
  }

  #take({ header, payload, digest }: Frame, end: number): void {
    this.#lastLsn = lastLsnOf(header.firstLsn, header.entryCount)
    this.#wallMs = header.wallMs
    this.#end = end
    if (this.#options.digestsOf.has(this.#lastLsn)) this.#digests.set(this.#lastLsn, digest.toString('hex'))
    this.#noteCheckpoints(payload)
  }

  #noteCheckpoints(payload: Buffer): void {
    for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) {
      if (codeOf(payload, o) !== actionCodes['checkpoint/completed']) continue
      this.#checkpoints.push(decodeEntry(payload, o).action as CheckpointCompleted)
    }
  }

  #stopsIn(frame: Frame, count: number, digest: Buffer): ScannedSegment {
    const { firstLsn, wallMs } = frame.header
    if (count === 0) return { ...this.#result(true), nextWallMs: wallMs }
    const part = { offset: frame.offset, frame: cutFrame(frame, count, this.#header, digest) }
    return { ...this.#result(true), part, wallMs, lastLsn: lastLsnOf(firstLsn, count) }
  }

  #result(isLast: boolean): ScannedSegment {
    return {
      lastLsn: this.#lastLsn,
      wallMs: this.#wallMs,
      end: this.#end,
      part: null,
      isLast,
      isSealed: this.#cursor.sealed,
      sealDigest: this.#cursor.digest,
      nextWallMs: null,
      checkpoints: this.#checkpoints,
      digests: this.#digests,
    }
  }
}

/** The same frame with its first entries only: it was one write, but each of its entries is by itself. */
function cutFrame({ header, offset, payload }: Frame, count: number, segment: SegmentHeader, digest: Buffer): Buffer {
  const kept = payload.subarray(0, bytesOfEntries(payload, count))
  const head = Buffer.alloc(frameHeaderBytes)
  const fields = { ...header, entryCount: count, fileOffset: offset, salt: segment.salt, prevDigest: digest }
  const ownDigest = encodeFrame(head, fields, kept)
  const frame = Buffer.concat([head, kept, ownDigest])
  return frame.subarray(0, frameBytes(kept.length))
}
