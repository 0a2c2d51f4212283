import { crc32, digestBytes } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import { cleanStopName } from './segment-name.ts'
import type { JournalStorage } from './storage.ts'

/** Left by a clean stop, in a file of its own: it vouches for the end of the journal even when the end is lost (R4). */
export interface CleanStop {
  readonly journalId: Uint8Array
  readonly lastLsn: Lsn
  readonly lastDigest: Uint8Array
  readonly wallMs: number
}

const magic = Buffer.from('CMDRSTOP', 'latin1')
const markBytes = 64
const crcOffset = markBytes - 4

export function writeCleanStop(storage: JournalStorage, mark: CleanStop): void {
  const bytes = Buffer.alloc(markBytes)
  magic.copy(bytes, 0)
  bytes.set(mark.journalId, 8)
  writeUint64(bytes, mark.lastLsn, 24)
  bytes.set(mark.lastDigest, 32)
  writeUint64(bytes, mark.wallMs, 48)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, crcOffset)), crcOffset)
  storage.writeWhole(cleanStopName, bytes)
}

/** `null` when there is none, or none that can be read: it only ever adds to what is known. */
export function readCleanStop(storage: JournalStorage): CleanStop | null {
  const bytes = storage.readWhole(cleanStopName)
  if (bytes?.length !== markBytes || bytes.compare(magic, 0, 8, 0, 8) !== 0) return null
  if (bytes.readUInt32LE(crcOffset) !== crc32(bytes.subarray(0, crcOffset))) return null
  return {
    journalId: bytes.subarray(8, 24),
    lastLsn: lsn(readUint64(bytes, 24)),
    lastDigest: bytes.subarray(32, 32 + digestBytes),
    wallMs: readUint64(bytes, 48),
  }
}
