import { type BatchIdentity, entriesHeaderBytes } from '../ipc/journal-protocol.ts'
import { crc32 } from '../kernel/checksum.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64 } from '../kernel/integers.ts'

/** A batch that was received or read and waits to be applied. */
export interface QueuedBatch {
  readonly payload: Buffer
  readonly offset: number
  readonly firstLsn: Lsn
  readonly lastLsn: Lsn
  /** To be released to the channel that it came from. */
  readonly bytes: number
}

/** From the body of an `entries` frame. */
export const queuedBatchOf = (body: Buffer): QueuedBatch => ({
  payload: body,
  offset: entriesHeaderBytes,
  firstLsn: lsn(readUint64(body, 0)),
  lastLsn: lsn(readUint64(body, 8)),
  bytes: body.length,
})

export function identityOf(batch: QueuedBatch | null): BatchIdentity | null {
  if (batch === null) return null
  const { firstLsn, lastLsn, payload, offset } = batch
  return { firstLsn, lastLsn, crc: crc32(payload.subarray(offset)) }
}
