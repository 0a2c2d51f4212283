import { digest16, digestBytes } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { writeUint64 } from '../kernel/integers.ts'

/**
 * SHA-256 over all of a stream up to an LSN, truncated to 16 bytes: two servers with the same digest there hold the same
 * below it. Never changed once it is made.
 */
export type Digest = Buffer

/**
 * What a machine knows of a batch: its place and its digest, and nothing of what it holds. A batch is the unit of
 * replication and atomicity; every re-send keeps its boundaries. The epoch is not in it: appended again under the same LSNs
 * in a later segment it has the same digest. The chain of digests runs on over segments.
 */
export interface BatchHead {
  readonly firstLsn: Lsn
  readonly entryCount: number
  /** Of everything before `firstLsn`. */
  readonly prevDigest: Digest
  /** Of everything up to the last entry. */
  readonly digest: Digest
}

export interface ReplicatedBatch extends BatchHead {
  /** Opaque; a multiple of 8 bytes. May share memory with its neighbours; never changes. */
  readonly payload: Buffer
}

/** The digest at LSN 0, of a stream without entries. */
export const emptyDigest: Digest = Buffer.alloc(digestBytes)

export const lastLsnOf = ({ firstLsn, entryCount }: Pick<BatchHead, 'firstLsn' | 'entryCount'>): Lsn =>
  lsn(firstLsn + entryCount - 1)

export function digestOf(prevDigest: Digest, firstLsn: Lsn, entryCount: number, payload: Uint8Array): Digest {
  const place = Buffer.allocUnsafe(12)
  writeUint64(place, firstLsn, 0)
  place.writeUInt32LE(entryCount, 8)
  return digest16(prevDigest, place, payload)
}

export const makeBatch = (prevDigest: Digest, firstLsn: Lsn, entryCount: number, payload: Buffer): ReplicatedBatch => ({
  firstLsn,
  entryCount,
  payload,
  prevDigest,
  digest: digestOf(prevDigest, firstLsn, entryCount, payload),
})

/** Whether a batch that came from outside holds what its digest says. */
export const isIntact = ({ prevDigest, firstLsn, entryCount, payload, digest }: ReplicatedBatch): boolean =>
  payload.length % 8 === 0 && digestOf(prevDigest, firstLsn, entryCount, payload).equals(digest)

/** What was received is a view into a buffer of the connection: to be kept it is copied. */
export const copyOf = (batch: ReplicatedBatch): ReplicatedBatch => ({
  ...batch,
  payload: Buffer.from(batch.payload),
  prevDigest: Buffer.from(batch.prevDigest),
  digest: Buffer.from(batch.digest),
})
