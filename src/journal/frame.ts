import { assert } from '../kernel/assert.ts'
import { crc32, digest16, digestBytes } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import { frameHeaderBytes, frameOverheadBytes } from './options.ts'

/** The header of one frame: a group of entries written, and so kept or lost, together. The layout is in JOURNAL_FORMAT.md. */
export interface FrameHeader {
  readonly flags: number
  readonly payloadBytes: number
  readonly entryCount: number
  /** LSN of its first entry; of the next entry when it holds none. */
  readonly firstLsn: Lsn
  /** Where in the segment it was meant to be. */
  readonly fileOffset: number
  readonly segEpoch: number
  readonly committedLsn: Lsn
  /** The writer's flushed LSN when it wrote this: all up to there had been acknowledged. */
  readonly durableLsn: Lsn
  /** Never falls from frame to frame; orders nothing. */
  readonly wallMs: number
  readonly codec: number
}

export const frameFlags = {
  /** Filler without entries. */
  pad: 1,
  /** Last frame of its segment; the journal goes on in the next one. */
  seal: 2,
  /** Reserved: the writer flushed right after this frame. */
  flushLast: 4,
} as const

/** First byte above 0x7f, so that text in payloads is never mistaken for it while searching. */
export const frameMagic: Buffer = Buffer.from([0xf7, 0x43, 0x44, 0x42])
const frameMagicNumber = frameMagic.readUInt32LE(0)
const headerCrcOffset = frameHeaderBytes - 4

export const frameBytes = (payloadBytes: number): number => frameOverheadBytes + payloadBytes

export interface FrameFields {
  readonly flags: number
  readonly entryCount: number
  readonly firstLsn: Lsn
  readonly fileOffset: number
  readonly segEpoch: number
  readonly committedLsn: Lsn
  readonly durableLsn: Lsn
  readonly wallMs: number
  /** First 8 bytes of the segment's salt. */
  readonly salt: Buffer
  readonly prevDigest: Buffer
}

/**
 * Writes the header into `target` (104 bytes, zeroed where reserved) and returns the frame's digest. The payload may come
 * in parts that follow one another.
 */
export function encodeFrame(target: Buffer, fields: FrameFields, ...payload: readonly Buffer[]): Buffer {
  let payloadBytes = 0
  let payloadCrc = 0
  for (const part of payload) {
    payloadBytes += part.length
    payloadCrc = crc32(part, payloadCrc)
  }
  assert(payloadBytes % 8 === 0, `a frame's payload is a multiple of 8 bytes, not ${payloadBytes}`)
  target.writeUInt32LE(frameMagicNumber, 0)
  target.writeUInt16LE(frameHeaderBytes, 4)
  target.writeUInt16LE(fields.flags, 6)
  target.writeUInt32LE(payloadBytes, 8)
  target.writeUInt32LE(fields.entryCount, 12)
  writeUint64(target, fields.firstLsn, 16)
  writeUint64(target, fields.fileOffset, 24)
  fields.salt.copy(target, 32, 0, 8)
  writeUint64(target, fields.segEpoch, 40)
  writeUint64(target, fields.committedLsn, 48)
  writeUint64(target, fields.durableLsn, 56)
  writeUint64(target, fields.wallMs, 64)
  fields.prevDigest.copy(target, 72, 0, digestBytes)
  target.writeUInt32LE(payloadCrc, 88)
  target.fill(0, 92, headerCrcOffset)
  target.writeUInt32LE(crc32(target.subarray(0, headerCrcOffset)), headerCrcOffset)
  return digest16(target, ...payload)
}

/** The header at this place if its own checksum holds; nothing is said yet about where it belongs or about its payload. */
export function decodeFrameHeader(bytes: Buffer, offset: number): FrameHeader | null {
  if (offset + frameHeaderBytes > bytes.length || bytes.readUInt32LE(offset) !== frameMagicNumber) return null
  const crc = crc32(bytes.subarray(offset, offset + headerCrcOffset))
  if (bytes.readUInt32LE(offset + headerCrcOffset) !== crc || bytes.readUInt16LE(offset + 4) !== frameHeaderBytes)
    return null
  return {
    flags: bytes.readUInt16LE(offset + 6),
    payloadBytes: bytes.readUInt32LE(offset + 8),
    entryCount: bytes.readUInt32LE(offset + 12),
    firstLsn: lsn(readUint64(bytes, offset + 16)),
    fileOffset: readUint64(bytes, offset + 24),
    segEpoch: readUint64(bytes, offset + 40),
    committedLsn: lsn(readUint64(bytes, offset + 48)),
    durableLsn: lsn(readUint64(bytes, offset + 56)),
    wallMs: readUint64(bytes, offset + 64),
    codec: bytes.readUInt16LE(offset + 92),
  }
}

/** The salt and the previous digest stay in the bytes: they are only ever compared. */
export function hasSalt(bytes: Buffer, offset: number, salt: Buffer): boolean {
  return bytes.compare(salt, 0, 8, offset + 32, offset + 40) === 0
}

/** Whether a frame header was here, although it may be damaged now: at least two of the things that mark one. */
export function resemblesFrame(head: Buffer, fileOffset: number, salt: Buffer): boolean {
  const marks = [frameMagic.compare(head, 0, 4) === 0, readUint64(head, 24) === fileOffset, hasSalt(head, 0, salt)]
  return marks.filter((mark) => mark).length >= 2
}

export function followsDigest(bytes: Buffer, offset: number, digest: Buffer): boolean {
  return bytes.compare(digest, 0, digestBytes, offset + 72, offset + 88) === 0
}

/** The digest that this frame follows. */
export const previousDigestOf = (bytes: Buffer, offset: number): Buffer =>
  Buffer.from(bytes.subarray(offset + 72, offset + 88))

/** How much of a frame's payload to check: the CRC finds damage at 4 GB/s, the digest also finds exchanged bytes, at 1.5 GB/s. */
export type PayloadCheck = 'none' | 'crc' | 'digest' | 'both'

export function payloadHolds(bytes: Buffer, offset: number, payloadBytes: number, check: PayloadCheck): boolean {
  const start = offset + frameHeaderBytes
  const end = start + payloadBytes
  if (check === 'crc' || check === 'both') {
    if (bytes.readUInt32LE(offset + 88) !== crc32(bytes.subarray(start, end))) return false
  }
  if (check === 'digest' || check === 'both') {
    return digest16(bytes.subarray(offset, end)).compare(bytes, end, end + digestBytes) === 0
  }
  return true
}

export function frameDigest(bytes: Buffer, offset: number, payloadBytes: number): Buffer {
  const end = offset + frameHeaderBytes + payloadBytes
  return bytes.subarray(end, end + digestBytes)
}
