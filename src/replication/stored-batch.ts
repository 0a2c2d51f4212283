import { assert } from '../kernel/assert.ts'
import { digestBytes } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { ReplicatedBatch } from './batch.ts'

/**
 * A batch as the payload of a frame in the journal of a server: this header, then the batch's payload as it came. Place and number of its
 * entries are those of the frame.
 *
 * | offset | type | field |
 * |---|---|---|
 * | 0 | u32 | version, 1 |
 * | 4 | u32 | zero |
 * | 8 | u64 | committed LSN that the server had heard of |
 * | 16 | 16 bytes | digest of everything before the batch |
 * | 32 | 16 bytes | digest of everything up to its end |
 */
export const storedHeadBytes = 48
const version = 1

export interface StoredBatch {
  readonly batch: ReplicatedBatch
  readonly committed: Lsn
}

export function encodeStoredHead({ prevDigest, digest }: ReplicatedBatch, committed: Lsn): Buffer {
  const head = Buffer.alloc(storedHeadBytes)
  head.writeUInt32LE(version, 0)
  writeUint64(head, committed, 8)
  prevDigest.copy(head, 16, 0, digestBytes)
  digest.copy(head, 32, 0, digestBytes)
  return head
}

/** The frame's own digest has been checked: what does not fit was not written by a journal server. */
export function decodeStored(firstLsn: Lsn, entryCount: number, stored: Buffer): StoredBatch {
  assert(stored.length > storedHeadBytes && stored.readUInt32LE(0) === version, `no batch is stored at LSN ${firstLsn}`)
  return {
    batch: {
      firstLsn,
      entryCount,
      prevDigest: stored.subarray(16, 32),
      digest: stored.subarray(32, 48),
      payload: stored.subarray(storedHeadBytes),
    },
    committed: lsn(readUint64(stored, 8)),
  }
}
