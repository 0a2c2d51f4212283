import { damagedHeader, faultText } from '../journal/fault-text.ts'
import { frameBytes } from '../journal/frame.ts'
import { frameHeaderBytes, segmentHeaderBytes } from '../journal/options.ts'
import { cursorFromStart, type Frame, type SegmentCursor } from '../journal/segment-cursor.ts'
import { decodeSegmentHeader, type SegmentHeader } from '../journal/segment-header.ts'
import type { SegmentName } from '../journal/segment-name.ts'
import type { JournalFile, JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, nextLsn } from '../kernel/identifiers.ts'
import type { SealedSegment } from './sealed-segments.ts'

/** Read and handed on at once: what the event loop is held up for. */
const chunkBytes = 524_288

/**
 * The bytes of a sealed segment, each proven before it is handed on: header, frames where they lie, zeros in between and
 * behind. What is between the frames of the file is not looked at, so damage there does not matter. The same entries always
 * give the same bytes.
 * @throws CommanderError journal_corrupt with details { segment, offset, lsn, rule }; journal_failed; not_found when it was removed
 */
export function* segmentBytes(storage: JournalStorage, segment: SealedSegment): Generator<Buffer, void> {
  const file = storage.openReadOnly(segment.name)
  try {
    yield* bytesOf(file, segment, headerOf(file, segment))
  } finally {
    file.close()
  }
}

/**
 * The same for a segment that may still be written to: its frames up to an entry that is flushed, which ends one of them,
 * then zeros, as if nothing had been written behind.
 */
export function* flushedSegmentBytes(storage: JournalStorage, name: SegmentName, upTo: Lsn): Generator<Buffer, void> {
  const file = storage.openReadOnly(name.name)
  try {
    const header = headerOf(file, name)
    const { chunks, cursor, head } = begin(file, header)
    yield* chunks.put(head, 0)
    while (cursor.nextLsn <= upTo && !cursor.sealed) {
      const frame = cursor.next()
      if (typeof frame === 'string') throw damaged(name, cursor.position, cursor.nextLsn, faultText[frame])
      yield* chunks.put(wholeOf(frame), frame.offset)
    }
    yield* chunks.end()
  } finally {
    file.close()
  }
}

function headerOf(file: JournalFile, segment: SegmentName): SegmentHeader {
  const bytes = Buffer.alloc(segmentHeaderBytes)
  const header = decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)))
  if (header === null) throw damaged(segment, 0, segment.baseLsn, damagedHeader)
  if (header.segNo !== segment.segNo || header.baseLsn !== segment.baseLsn)
    throw damaged(segment, 0, segment.baseLsn, `its header says segment ${header.segNo} from LSN ${header.baseLsn}`)
  return header
}

function* bytesOf(file: JournalFile, segment: SealedSegment, header: SegmentHeader): Generator<Buffer, void> {
  const { chunks, cursor, head } = begin(file, header)
  yield* chunks.put(head, 0)
  while (!cursor.sealed) {
    const frame = cursor.next()
    if (typeof frame === 'string') throw damaged(segment, cursor.position, cursor.nextLsn, faultText[frame])
    yield* chunks.put(wholeOf(frame), frame.offset)
  }
  if (cursor.nextLsn !== nextLsn(segment.lastLsn)) {
    const reason = `it ends before LSN ${cursor.nextLsn}, and the next segment begins at LSN ${segment.next.baseLsn}`
    throw damaged(segment, cursor.position, cursor.nextLsn, reason)
  }
  yield* chunks.end()
}

function begin(
  file: JournalFile,
  header: SegmentHeader,
): { readonly chunks: Chunks; readonly cursor: SegmentCursor; readonly head: Buffer } {
  const head = Buffer.alloc(segmentHeaderBytes)
  file.read(head, 0)
  const cursor = cursorFromStart(file, header, 'digest', chunkBytes)
  return { chunks: new Chunks(header.segmentBytes), cursor, head }
}

/** A frame's payload lies between its header and its digest in the slice that was read. */
function wholeOf({ payload, header }: Frame): Buffer {
  const bytes = frameBytes(header.payloadBytes)
  return Buffer.from(payload.buffer, payload.byteOffset - frameHeaderBytes, bytes)
}

/** Gathers pieces that lie in order into chunks of one size, with zeros where none lies. */
class Chunks {
  readonly #totalBytes: number
  #chunk: Buffer
  /** Of the chunk in the whole. */
  #start = 0
  #filled = 0

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes
    this.#chunk = Buffer.alloc(Math.min(chunkBytes, totalBytes))
  }

  *put(piece: Buffer, offset: number): Generator<Buffer, void> {
    yield* this.#skipTo(offset)
    for (let done = 0; done < piece.length; ) {
      const count = piece.copy(this.#chunk, this.#filled, done)
      done += count
      this.#filled += count
      if (this.#filled === this.#chunk.length) yield this.#take()
    }
  }

  *end(): Generator<Buffer, void> {
    yield* this.#skipTo(this.#totalBytes)
  }

  /** Chunks are made of zeros. */
  *#skipTo(offset: number): Generator<Buffer, void> {
    while (offset - this.#start >= this.#chunk.length && this.#chunk.length > 0) yield this.#take()
    this.#filled = offset - this.#start
  }

  #take(): Buffer {
    const full = this.#chunk
    this.#start += full.length
    this.#filled = 0
    this.#chunk = Buffer.alloc(Math.min(chunkBytes, this.#totalBytes - this.#start))
    return full
  }
}

function damaged(segment: SegmentName, offset: number, at: number, reason: string): CommanderError {
  const { name } = segment
  return new CommanderError(
    'journal_corrupt',
    `segment ${name} cannot be archived, it is damaged at byte ${offset}, LSN ${at}: ${reason}. ` +
      'Stop the database and run journal verify on it',
    { details: { segment: name, offset, lsn: at, rule: 'R6' } },
  )
}
