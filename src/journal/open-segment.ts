import { assert } from '../kernel/assert.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { encodeFrame, frameBytes, frameFlags } from './frame.ts'
import type { ScanEnd } from './journal-scan.ts'
import { alignUp, firstFrameOffset, frameHeaderBytes, frameOverheadBytes } from './options.ts'
import type { SegmentHeader } from './segment-header.ts'
import type { JournalFile, JournalStorage } from './storage.ts'

/** What a frame says beside where it is. */
export interface FrameContent {
  readonly entryCount: number
  readonly firstLsn: Lsn
  readonly committedLsn: Lsn
  readonly durableLsn: Lsn
  readonly wallMs: number
  readonly prevDigest: Buffer
}

const noParts: readonly Buffer[] = []

/**
 * The segment that is being written.
 * A1 A frame is one write. A2 A block that holds flushed data is never written again: once a flush has started, the next
 * frame begins in a new block.
 */
export class OpenSegment {
  readonly file: JournalFile
  readonly header: SegmentHeader
  sealed: boolean
  /** Something was written that no flush has been started for. */
  dirty = false
  private position: number
  private readonly frameHeader = Buffer.alloc(frameHeaderBytes)

  /** `end`: of its last frame, or of its header. */
  constructor(file: JournalFile, header: SegmentHeader, end: number, sealed = false) {
    this.file = file
    this.header = header
    this.position = Math.max(alignUp(end, header.blockBytes), firstFrameOffset(header.blockBytes))
    this.sealed = sealed
  }

  /** Nothing has been written behind the header. */
  get isEmpty(): boolean {
    return this.position === firstFrameOffset(this.header.blockBytes)
  }

  /** What would be left behind a frame with such a payload, after the room that the seal needs; negative when it does not fit. */
  roomAfter(payloadBytes: number): number {
    const end = alignUp(this.position + frameBytes(payloadBytes), this.header.blockBytes)
    return this.header.segmentBytes - frameOverheadBytes - end
  }

  /** Returns the frame's digest. Nothing has changed when it throws. @throws CommanderError journal_full | journal_failed */
  append(content: FrameContent, payload: readonly Buffer[]): Buffer {
    assert(this.roomAfter(bytesOf(payload)) >= 0, 'the frame does not fit into the segment')
    return this.write(content, payload, 0)
  }

  /** Ends the segment, once. Returns the digest that the next one must follow. @throws CommanderError journal_full | journal_failed */
  seal(content: FrameContent): Buffer {
    assert(!this.sealed, 'the segment is sealed')
    const digest = this.write(content, noParts, frameFlags.seal)
    this.sealed = true
    return digest
  }

  /** To be called before every flush of the file: keeps A2. */
  startFlush(): void {
    this.position = alignUp(this.position, this.header.blockBytes)
    this.dirty = false
  }

  private write(content: FrameContent, payload: readonly Buffer[], flags: number): Buffer {
    const { salt, segEpoch } = this.header
    const digest = encodeFrame(
      this.frameHeader,
      { ...content, flags, fileOffset: this.position, salt, segEpoch },
      ...payload,
    )
    this.file.write([this.frameHeader, ...payload, digest], this.position)
    this.position += frameBytes(bytesOf(payload))
    this.dirty = true
    return digest
  }
}

/** The segment that holds the end of what was scanned, to go on in it; `null` where a new one has to begin. */
export function openEnd(storage: JournalStorage, { segment, sealed, position }: ScanEnd): OpenSegment | null {
  const header = segment?.header
  if (!header || sealed) return null
  return new OpenSegment(storage.open(segment.name), header, position)
}

export function bytesOf(parts: readonly Buffer[]): number {
  let bytes = 0
  for (const part of parts) bytes += part.length
  return bytes
}
