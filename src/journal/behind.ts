import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import { decodeFrameHeader, frameBytes, frameMagic, hasSalt, payloadHolds } from './frame.ts'
import { frameHeaderBytes, journalLimits } from './options.ts'
import { isZero } from './segment-cursor.ts'
import { SliceReader } from './slice-reader.ts'
import type { JournalFile } from './storage.ts'

/** What lies in a segment behind a place where the chain ended. */
export interface Behind {
  /** Whole frames that belong just where they are, with LSNs not below the one that was looked for. */
  readonly validFrames: number
  /** The highest durable LSN that one of them vouches for; 0 without any. */
  readonly durableLsn: Lsn
  /** End of the last byte that is not zero; `from` when there is none. */
  readonly usedEnd: number
}

/**
 * Searches from a place to the end of the file (R3). `salt` is null when the segment's header cannot be read: then a frame
 * is known by its place and LSN alone.
 */
export function lookBehind(file: JournalFile, from: number, expected: Lsn, salt: Buffer | null): Behind {
  const slices = new SliceReader(file, journalLimits.scanSliceBytes)
  const size = file.size()
  let validFrames = 0
  let durable = noLsn
  let usedEnd = from
  for (let at = from; at < size; at += journalLimits.copySliceBytes) {
    // the magic of a frame may lie across two slices
    const slice = slices.at(at, journalLimits.copySliceBytes + frameMagic.length - 1)
    if (isZero(slice)) continue
    usedEnd = Math.max(usedEnd, at + lastUsed(slice))
    for (const offset of magicsIn(slice, at)) {
      const found = durableLsnOfFrame(file, offset, expected, salt)
      if (found === null) continue
      validFrames++
      durable = lsn(Math.max(durable, found))
    }
  }
  return { validFrames, durableLsn: durable, usedEnd }
}

/** Places of a frame's first bytes, as far as they lie where a frame may begin. */
export function* magicsIn(slice: Buffer, start: number): Generator<number> {
  for (let at = slice.indexOf(frameMagic); at !== -1; at = slice.indexOf(frameMagic, at + 1)) {
    if ((start + at) % 8 === 0) yield start + at
  }
}

function durableLsnOfFrame(file: JournalFile, offset: number, expected: Lsn, salt: Buffer | null): Lsn | null {
  const head = Buffer.alloc(frameHeaderBytes)
  if (file.read(head, offset) < head.length) return null
  const header = decodeFrameHeader(head, 0)
  if (header === null || header.fileOffset !== offset || header.firstLsn < expected) return null
  if (salt !== null && !hasSalt(head, 0, salt)) return null
  const bytes = frameBytes(header.payloadBytes)
  if (offset + bytes > file.size()) return null
  const whole = Buffer.allocUnsafe(bytes)
  file.read(whole, offset)
  return payloadHolds(whole, 0, header.payloadBytes, 'digest') ? header.durableLsn : null
}

function lastUsed(slice: Buffer): number {
  let end = slice.length
  while (end > 0 && slice[end - 1] === 0) end--
  return end
}

const sectorBytes = 512

/**
 * Whether some sector of this range holds only zeros, as it did when the file was made: then a write to it never reached
 * the medium. What was there as a whole and is bad now has been damaged since.
 */
export function hasUnwrittenSector(bytes: Buffer, offset: number): boolean {
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(sectorBytes - ((offset + at) % sectorBytes), bytes.length - at)
    if (isZero(bytes.subarray(at, at + length))) return true
    at += length
  }
  return bytes.length === 0
}
