import { digestBytes } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'

/** How the journal lies on disk. The names and meanings of `initZero` and `recycle` are PostgreSQL's `wal_init_zero` and `wal_recycle`. */
export interface JournalOptions {
  /** Size of one segment file, a multiple of `blockBytes`. 1 MiB to 1 GiB; default 64 MiB. */
  readonly segmentBytes: number
  /** Fill new segments with zeros ahead of time, so that a flush need not write file metadata. Default true. */
  readonly initZero: boolean
  /** Make the next spare out of a stale segment instead of allocating a new file. Default true. */
  readonly recycle: boolean
  /** Unit in which flushed data is never rewritten. 512 to 65,536, a power of two; default 4096. */
  readonly blockBytes: number
  /**
   * The segments take at most this and one more (the spare); then appends are refused until old ones are removed.
   * At least two segments; default 1 GiB.
   */
  readonly maxBytes: number
}

export const defaultJournalOptions: JournalOptions = {
  segmentBytes: 67_108_864,
  initZero: true,
  recycle: true,
  blockBytes: 4096,
  maxBytes: 1_073_741_824,
}

/** Bounds of the journal itself (G10). Bytes unless the name says otherwise. */
export interface JournalLimits {
  readonly segmentBytesMin: number
  readonly segmentBytesMax: number
  readonly blockBytesMin: number
  readonly blockBytesMax: number
  /** Kept free in the last segment when the disk is full, for appends that ask for the reserve. */
  readonly reserveBytes: number
  /** How long to wait before trying again to make a spare segment on a full disk. */
  readonly spareRetryDelayMs: number
  /** Copies of torn tails that are kept; the oldest go first. */
  readonly tornCopiesMax: number
  /** Read in one go while scanning. */
  readonly scanSliceBytes: number
  /** Read ahead by a reader: little, for at the end of the journal most of it is zeros that the writer is about to fill. */
  readonly readerSliceBytes: number
  /** Filled with zeros and flushed in one go while a spare is made: what a flush of the running segment may have to wait for. */
  readonly fillSliceBytes: number
  /** Copied, zeroed or written back in one go. */
  readonly copySliceBytes: number
}

export const journalLimits: JournalLimits = {
  segmentBytesMin: 1 << 20,
  segmentBytesMax: 1 << 30,
  blockBytesMin: 512,
  blockBytesMax: 65_536,
  reserveBytes: 64 << 10,
  spareRetryDelayMs: 1000,
  tornCopiesMax: 16,
  scanSliceBytes: 4 << 20,
  readerSliceBytes: 256 << 10,
  fillSliceBytes: 256 << 10,
  copySliceBytes: 1 << 20,
}

export const segmentHeaderBytes = 4096
export const frameHeaderBytes = 104
/** What a frame costs beside its payload. */
export const frameOverheadBytes: number = frameHeaderBytes + digestBytes

export const firstFrameOffset = (blockBytes: number): number => alignUp(segmentHeaderBytes, blockBytes)

/** The largest payload that one frame of such a journal can hold: a frame never spans segments, and a seal must fit behind it. */
export function framePayloadBytesMax(options: JournalOptions): number {
  const { segmentBytes, blockBytes } = options
  return segmentBytes - firstFrameOffset(blockBytes) - blockBytes - 2 * frameOverheadBytes
}

/** @throws CommanderError invalid_config */
export function checkJournalOptions(options: JournalOptions): void {
  const { segmentBytes, blockBytes, maxBytes } = options
  const { segmentBytesMin, segmentBytesMax, blockBytesMin, blockBytesMax } = journalLimits
  if (!isPowerOfTwo(blockBytes) || blockBytes < blockBytesMin || blockBytes > blockBytesMax)
    throw wrong('blockBytes', blockBytes, `a power of two from ${blockBytesMin} to ${blockBytesMax}`)
  if (!Number.isInteger(segmentBytes) || segmentBytes < segmentBytesMin || segmentBytes > segmentBytesMax)
    throw wrong('segmentBytes', segmentBytes, `an integer from ${segmentBytesMin} to ${segmentBytesMax}`)
  if (segmentBytes % blockBytes !== 0)
    throw wrong('segmentBytes', segmentBytes, `a multiple of blockBytes (${blockBytes})`)
  if (!(maxBytes >= 2 * segmentBytes)) throw wrong('maxBytes', maxBytes, `at least two segments (${2 * segmentBytes})`)
}

function wrong(name: string, value: number, wanted: string): CommanderError {
  return new CommanderError('invalid_config', `journal.${name} is ${value}; it must be ${wanted}`, {
    details: { name: `journal.${name}`, value },
  })
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && (value & (value - 1)) === 0
}

export function alignUp(offset: number, unit: number): number {
  return Math.ceil(offset / unit) * unit
}
