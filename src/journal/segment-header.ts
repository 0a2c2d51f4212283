import { crc32 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import { journalLimits, segmentHeaderBytes } from './options.ts'

/** The first 4096 bytes of a segment. The layout is in JOURNAL_FORMAT.md; fields are never moved or used again. */
export interface SegmentHeader {
  readonly journalId: Buffer
  readonly serverId: Buffer
  readonly streamId: number
  readonly segEpoch: number
  /** Grows by one whenever an operator gives up damaged entries. */
  readonly timeline: number
  readonly blockBytes: number
  readonly segNo: number
  readonly baseLsn: Lsn
  readonly segmentBytes: number
  /** Random, new at each use of the file: stale bytes of an earlier use never look valid. */
  readonly salt: Buffer
  /** Digest of the previous segment's last frame, zeros in the very first. */
  readonly prevSegDigest: Buffer
  /** Information only. */
  readonly createdWallMs: number
}

export const formatVersion = 1
const magic = Buffer.from('CMDRJRNL', 'latin1')
const crcOffset = segmentHeaderBytes - 4

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes)
  magic.copy(bytes, 0)
  bytes.writeUInt32LE(formatVersion, 8)
  bytes.writeUInt32LE(segmentHeaderBytes, 12)
  header.journalId.copy(bytes, 16)
  header.serverId.copy(bytes, 32)
  writeUint64(bytes, header.streamId, 48)
  writeUint64(bytes, header.segEpoch, 56)
  bytes.writeUInt32LE(header.timeline, 64)
  bytes.writeUInt32LE(header.blockBytes, 68)
  writeUint64(bytes, header.segNo, 72)
  writeUint64(bytes, header.baseLsn, 80)
  writeUint64(bytes, header.segmentBytes, 88)
  header.salt.copy(bytes, 96)
  header.prevSegDigest.copy(bytes, 112)
  writeUint64(bytes, header.createdWallMs, 128)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, crcOffset)), crcOffset)
  return bytes
}

/**
 * `null` when the bytes are not a whole, undamaged header, or one that no writer makes, whatever its CRC says.
 * @throws CommanderError unsupported_version when they are one of a newer format
 */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < segmentHeaderBytes || bytes.compare(magic, 0, 8, 0, 8) !== 0) return null
  if (bytes.readUInt32LE(crcOffset) !== crc32(bytes.subarray(0, crcOffset))) return null
  const version = bytes.readUInt32LE(8)
  if (version !== formatVersion) throw newerVersion(version)
  if (bytes.readUInt32LE(12) !== segmentHeaderBytes || !hasSoundSizes(bytes)) return null
  return {
    journalId: bytes.subarray(16, 32),
    serverId: bytes.subarray(32, 48),
    streamId: readUint64(bytes, 48),
    segEpoch: readUint64(bytes, 56),
    timeline: bytes.readUInt32LE(64),
    blockBytes: bytes.readUInt32LE(68),
    segNo: readUint64(bytes, 72),
    baseLsn: lsn(readUint64(bytes, 80)),
    segmentBytes: readUint64(bytes, 88),
    salt: bytes.subarray(96, 112),
    prevSegDigest: bytes.subarray(112, 128),
    createdWallMs: readUint64(bytes, 128),
  }
}

/** Every place in the segment is calculated from these. */
function hasSoundSizes(bytes: Buffer): boolean {
  const blockBytes = bytes.readUInt32LE(68)
  const segmentBytes = readUint64(bytes, 88)
  const { blockBytesMin, blockBytesMax, segmentBytesMin, segmentBytesMax } = journalLimits
  if (blockBytes < blockBytesMin || blockBytes > blockBytesMax || (blockBytes & (blockBytes - 1)) !== 0) return false
  return segmentBytes >= segmentBytesMin && segmentBytes <= segmentBytesMax && segmentBytes % blockBytes === 0
}

function newerVersion(version: number): CommanderError {
  return new CommanderError(
    'unsupported_version',
    `the journal has format version ${version}, this program knows version ${formatVersion}: use the CommanderDB release that wrote it`,
    { details: { version, known: formatVersion } },
  )
}
