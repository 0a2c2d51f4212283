import { createHash } from 'node:crypto'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import { isIntact, lastLsnOf, type ReplicatedBatch } from '../replication/batch.ts'
import type { ArchiveTarget } from './archive-target.ts'
import {
  type BatchObjectHeader,
  type BatchObjectName,
  BatchObjectReader,
  encodeBatchHead,
  misfit,
} from './batch-object.ts'
import { isPackingFault, type SegmentCodec } from './segment-codec.ts'

/**
 * Reads an object from its header to its end. Batches are proven before they are given, each by its digest and by the one before; that they are
 * all that the name says shows at the end.
 *
 * @throws CommanderError `archive_corrupt` with details { object, reason }; `archive_unavailable`, `not_found`
 */
export async function* readBatchObject(
  target: ArchiveTarget,
  name: BatchObjectName,
  codec: SegmentCodec,
): AsyncGenerator<{ readonly header: BatchObjectHeader; readonly batches: readonly ReplicatedBatch[] }, void> {
  const reader = new BatchObjectReader()
  const sha = createHash('sha256')
  let end = { lsn: lsn(name.base - 1), digest: Buffer.alloc(0) as Buffer }
  for await (const piece of unpacked(target, name.object, codec)) {
    const batches = reader.take(piece)
    if (typeof batches === 'string') throw damagedObject(target, name.object, batches)
    if (reader.header === null) continue
    if (end.digest.length === 0) {
      mustBeNamed(target, name, reader.header)
      end = { ...end, digest: reader.header.baseDigest }
    }
    for (const batch of batches) {
      const isNext = batch.firstLsn === end.lsn + 1 && batch.prevDigest.equals(end.digest)
      if (!isNext || !isIntact(batch))
        throw damagedObject(target, name.object, `the batch at LSN ${end.lsn + 1} is not what its digest says`)
      sha.update(encodeBatchHead(batch)).update(batch.payload)
      end = { lsn: lastLsnOf(batch), digest: batch.digest }
    }
    yield { header: reader.header, batches }
  }
  const reason = faultAtEnd(name, reader, end, sha.digest('hex'))
  if (reason !== null) throw damagedObject(target, name.object, reason)
}

/** Of an object whose batches are not wanted (yet). @throws CommanderError as `readBatchObject` */
export async function readBatchHeader(
  target: ArchiveTarget,
  name: BatchObjectName,
  codec: SegmentCodec,
): Promise<BatchObjectHeader> {
  for await (const { header } of readBatchObject(target, name, codec)) return header
  throw damagedObject(target, name.object, 'it has no header')
}

function faultAtEnd(
  { sha256 }: BatchObjectName,
  reader: BatchObjectReader,
  end: { readonly lsn: number; readonly digest: Buffer },
  found: string,
): string | null {
  if (reader.header === null) return 'it has no header'
  if (!reader.isWhole) return 'it breaks off'
  return misfit(reader.header, end) ?? (found === sha256 ? null : 'its SHA-256 is another one than its name says')
}

function mustBeNamed(target: ArchiveTarget, { object, base, tail }: BatchObjectName, header: BatchObjectHeader): void {
  if (header.base === base && header.tail === tail) return
  throw damagedObject(target, object, `its header says LSN ${header.base} to ${header.tail}`)
}

async function* unpacked(target: ArchiveTarget, object: string, codec: SegmentCodec): AsyncGenerator<Buffer, void> {
  const packed = await target.read(object)
  const plain = codec.decompress()
  packed.on('error', (error) => plain.destroy(error))
  try {
    for await (const piece of packed.pipe(plain)) yield piece as Buffer
  } catch (error) {
    if (isCommanderError(error)) throw error
    if (isPackingFault(error)) throw damagedObject(target, object, messageOf(error))
    throw brokenOff(target, object, error)
  } finally {
    packed.destroy()
    plain.destroy()
  }
}

export const damagedObject = (target: ArchiveTarget, object: string, reason: string): CommanderError =>
  new CommanderError('archive_corrupt', `${object} in the archive ${target.location} is damaged: ${reason}`, {
    details: { location: target.location, object, reason },
  })

const brokenOff = ({ location }: ArchiveTarget, object: string, cause: unknown): CommanderError =>
  new CommanderError('archive_unavailable', `cannot read ${object} from ${location}: ${messageOf(cause)}`, { cause })
