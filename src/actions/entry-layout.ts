import { type Lsn, lsn, type Token, token } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'

/**
 * The fixed header of an entry (little-endian), which is enough to route and to count on without decoding:
 *
 * | offset | type | field |
 * |---|---|---|
 * | 0 | u32 | length in bytes, header included, padding not |
 * | 4 | u8 | action code |
 * | 5 | u8 | version of the action's form |
 * | 6 | u16 | flags |
 * | 8 | u64 | LSN (0 in a draft) |
 * | 16 | u64 | reference: the LSN of the command it is about; in `command/received` the client session, or the entry that sent it |
 * | 24 | u64 | token that it was decided under and releases; in `command/received` the call's sequence in its session, or the number of the message in the entry that sent it |
 * | 32 | u32 | origin: number of the process incarnation that drafted it |
 * | 36 | u32 | sequence: number of the draft among that origin's drafts |
 * | 40 | u32 | hash of the aggregate key; its remainder by the number of partitions is the partition |
 * | 44 | u16 | bytes of the aggregate key, `type/id` in UTF-8 |
 * | 46 | u16 | number of events (`command/completed`, `workflow/advanced`) |
 * | 48 | u64 | base revision (where there are events); in `command/received` the session's answered-below mark |
 * | 56 | f64 | wall time of the draft in ms since 1970; orders nothing |
 * | 64 | u16 | bytes of the name (command name, instance name) |
 * | 66 | u16 | variant: version of the aggregate's events (`command/completed`) or definition (`command/received`); otherwise 0 |
 * | 68 | u32 | bytes of the envelope |
 * | 72 | | aggregate key, name, envelope (MessagePack map or nothing), payload (the rest), zeros up to a multiple of 8 |
 */
export const entryHeaderBytes = 72

export const entryOffsets = {
  length: 0,
  code: 4,
  version: 5,
  flags: 6,
  lsn: 8,
  reference: 16,
  token: 24,
  origin: 32,
  sequence: 36,
  hash: 40,
  keyBytes: 44,
  eventCount: 46,
  revision: 48,
  wallMs: 56,
  nameBytes: 64,
  variant: 66,
  envelopeBytes: 68,
} as const

export const entryFlags = {
  /** Somebody waits for this entry to be flushed. */
  flush: 1,
  /** The command has an idempotency key: saved by `command/received`, bound by the entry that ends it. */
  idempotencyKey: 2,
  /** The parked command blocks its aggregate. */
  blocksAggregate: 4,
  /** In `command/received`: the client is content when the outcome is written. */
  writtenIsEnough: 16,
  /** The entry carries a snapshot of the aggregate in its envelope. */
  snapshot: 8,
  /** Never in the journal: in the store's log, what is left of an entry whose events were removed. */
  removed: 32,
  /** Every assignment of a command is over with this entry. */
  releasesAll: 64,
  /** The workflow has something to do, and stays assigned. */
  activates: 128,
  /** The workflow's assignment is over. */
  releases: 256,
  /** The entry sends messages; they are in its envelope. */
  sends: 512,
  /** Its events change the index of workflows or of timers. */
  indexed: 1024,
  /** The workflow has ended. */
  ends: 2048,
  /** In `command/received`: a workflow waits for the outcome. */
  replies: 4096,
  /** In `command/received`: a message of another entry. */
  forwarded: 8192,
  /** In `command/received`: when it may be started is in its envelope. */
  queues: 16_384,
  /** `activates`, `releases`, `sends` and `ends` together: the entry means something to workflows. */
  ofWorkflow: 2944,
} as const

export const padded = (length: number): number => (length + 7) & ~7

export const lengthOf = (b: Buffer, o: number): number => b.readUInt32LE(o)
export const codeOf = (b: Buffer, o: number): number => b[o + 4] as number
export const versionOf = (b: Buffer, o: number): number => b[o + 5] as number
export const flagsOf = (b: Buffer, o: number): number => b.readUInt16LE(o + 6)
export const lsnOf = (b: Buffer, o: number): Lsn => lsn(readUint64(b, o + 8))
export const referenceOf = (b: Buffer, o: number): Lsn => lsn(readUint64(b, o + 16))
export const tokenOf = (b: Buffer, o: number): Token => token(readUint64(b, o + 24))
export const originOf = (b: Buffer, o: number): number => b.readUInt32LE(o + 32)
export const sequenceOf = (b: Buffer, o: number): number => b.readUInt32LE(o + 36)
export const hashOf = (b: Buffer, o: number): number => b.readUInt32LE(o + 40)
export const keyBytesOf = (b: Buffer, o: number): number => b.readUInt16LE(o + 44)
export const eventCountOf = (b: Buffer, o: number): number => b.readUInt16LE(o + 46)
export const revisionOf = (b: Buffer, o: number): number => readUint64(b, o + 48)
export const wallMsOf = (b: Buffer, o: number): number => b.readDoubleLE(o + 56)
export const nameBytesOf = (b: Buffer, o: number): number => b.readUInt16LE(o + 64)
export const variantOf = (b: Buffer, o: number): number => b.readUInt16LE(o + 66)
export const envelopeBytesOf = (b: Buffer, o: number): number => b.readUInt32LE(o + 68)

export const sessionOf = (b: Buffer, o: number): number => readUint64(b, o + 16)
export const sessionSequenceOf = (b: Buffer, o: number): number => readUint64(b, o + 24)
export const answeredBelowOf = (b: Buffer, o: number): number => readUint64(b, o + 48)

export const isRemoved = (b: Buffer, o: number): boolean => (flagsOf(b, o) & entryFlags.removed) !== 0

export const stampLsn = (b: Buffer, o: number, value: Lsn): void => writeUint64(b, value, o + 8)

export function keyOf(b: Buffer, o: number): string {
  const start = o + entryHeaderBytes
  return b.toString('utf8', start, start + keyBytesOf(b, o))
}

export function nameOf(b: Buffer, o: number): string {
  const start = o + entryHeaderBytes + keyBytesOf(b, o)
  return b.toString('utf8', start, start + nameBytesOf(b, o))
}

export const envelopeStart = (b: Buffer, o: number): number =>
  o + entryHeaderBytes + keyBytesOf(b, o) + nameBytesOf(b, o)
export const payloadStart = (b: Buffer, o: number): number => envelopeStart(b, o) + envelopeBytesOf(b, o)
export const entryEnd = (b: Buffer, o: number): number => o + lengthOf(b, o)

/**
 * Whether the bytes at `o` hold one whole entry whose lengths agree with each other, before `end`.
 * Everything that comes from another process passes here before an accessor above touches it.
 */
export function isWellFormed(b: Buffer, o: number, end: number): boolean {
  if (end - o < entryHeaderBytes) return false
  const length = lengthOf(b, o)
  // The plain comparison first: `padded` is 32-bit arithmetic, and a length near 2^32 would come out small or negative.
  return (
    length >= entryHeaderBytes && length <= end - o && padded(length) <= end - o && payloadStart(b, o) <= o + length
  )
}
