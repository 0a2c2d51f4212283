import { crc32, digestBytes } from '../kernel/checksum.ts'
import { type Epoch, epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { ReplicatedBatch } from '../replication/batch.ts'

/**
 * A sealed segment of a replicated journal as an object of an archive, before it is compressed: a header, then its batches one after the
 * other. The layout is in JOURNAL_FORMAT.md; fields are never moved or used again. It follows from the record of the stream and
 * the batches alone, so that whoever archives a segment makes the same bytes.
 */
export interface BatchObjectHeader {
  /** 16 bytes. */
  readonly journalId: Buffer
  readonly segmentEpoch: Epoch
  readonly base: Lsn
  readonly tail: Lsn
  /** Of all payloads. */
  readonly payloadBytes: number
  readonly batches: number
  /** Of everything before `base`, and of everything up to `tail`. */
  readonly baseDigest: Buffer
  readonly tailDigest: Buffer
}

export const batchObjectHeaderBytes = 128
export const batchHeadBytes = 32
const magic = Buffer.from('CMDRBTCH', 'latin1')
const version = 1
const crcOffset = batchObjectHeaderBytes - 4

export function encodeBatchObjectHeader(header: BatchObjectHeader): Buffer {
  const bytes = Buffer.alloc(batchObjectHeaderBytes)
  magic.copy(bytes, 0)
  bytes.writeUInt32LE(version, 8)
  bytes.writeUInt32LE(batchObjectHeaderBytes, 12)
  header.journalId.copy(bytes, 16)
  writeUint64(bytes, header.segmentEpoch, 32)
  writeUint64(bytes, header.base, 40)
  writeUint64(bytes, header.tail, 48)
  writeUint64(bytes, header.payloadBytes, 56)
  writeUint64(bytes, header.batches, 64)
  header.baseDigest.copy(bytes, 72, 0, digestBytes)
  header.tailDigest.copy(bytes, 88, 0, digestBytes)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, crcOffset)), crcOffset)
  return bytes
}

/** `newer`: of a later format. `null`: no header, or a damaged one. */
export function decodeBatchObjectHeader(bytes: Buffer): BatchObjectHeader | 'newer' | null {
  if (bytes.length < batchObjectHeaderBytes || bytes.compare(magic, 0, 8, 0, 8) !== 0) return null
  if (bytes.readUInt32LE(crcOffset) !== crc32(bytes.subarray(0, crcOffset))) return null
  if (bytes.readUInt32LE(8) > version) return 'newer'
  if (bytes.readUInt32LE(12) !== batchObjectHeaderBytes) return null
  return {
    journalId: Buffer.from(bytes.subarray(16, 32)),
    segmentEpoch: epoch(readUint64(bytes, 32)),
    base: lsn(readUint64(bytes, 40)),
    tail: lsn(readUint64(bytes, 48)),
    payloadBytes: readUint64(bytes, 56),
    batches: readUint64(bytes, 64),
    baseDigest: Buffer.from(bytes.subarray(72, 88)),
    tailDigest: Buffer.from(bytes.subarray(88, 104)),
  }
}

/** What lies before the payload of a batch; what it follows is the digest of the one before. */
export function encodeBatchHead({ firstLsn, entryCount, payload, digest }: ReplicatedBatch): Buffer {
  const head = Buffer.alloc(batchHeadBytes)
  writeUint64(head, firstLsn, 0)
  head.writeUInt32LE(entryCount, 8)
  head.writeUInt32LE(payload.length, 12)
  digest.copy(head, 16, 0, digestBytes)
  return head
}

/**
 * Reads batches out of pieces as they come. Nothing is proven but that they lie one behind the other as the header says; a length
 * that cannot be ends it.
 */
export class BatchObjectReader {
  readonly #pieces: Buffer[] = []
  #bytes = 0
  #header: BatchObjectHeader | null = null
  #prevDigest: Buffer = Buffer.alloc(0)
  #left = 0

  /** Null until there is enough to tell. */
  get header(): BatchObjectHeader | null {
    return this.#header
  }

  /** Everything that the header promised has come, and no more. */
  get isWhole(): boolean {
    return this.#header !== null && this.#left === 0 && this.#bytes === 0
  }

  /** @returns the batches that are whole by now, or why there can be none */
  take(piece: Buffer): readonly ReplicatedBatch[] | string {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    if (this.#header === null) {
      const fault = this.#takeHeader()
      if (fault !== null) return fault
    }
    const batches: ReplicatedBatch[] = []
    while (this.#header !== null) {
      const batch = this.#next()
      if (typeof batch === 'string') return batch
      if (batch === null) break
      batches.push(batch)
    }
    return batches
  }

  #takeHeader(): string | null {
    if (this.#bytes < batchObjectHeaderBytes) return null
    const header = decodeBatchObjectHeader(this.#peek(batchObjectHeaderBytes))
    if (header === null) return 'its header is damaged'
    if (header === 'newer') return 'it is of a later format: use the CommanderDB release that wrote it'
    this.#drop(batchObjectHeaderBytes)
    this.#header = header
    this.#prevDigest = header.baseDigest
    this.#left = header.batches
    return null
  }

  #next(): ReplicatedBatch | string | null {
    if (this.#left === 0) return this.#bytes === 0 ? null : 'it goes on behind its last batch'
    if (this.#bytes < batchHeadBytes) return null
    const head = this.#peek(batchHeadBytes)
    const payloadBytes = head.readUInt32LE(12)
    if (payloadBytes % 8 !== 0 || payloadBytes > (this.#header?.payloadBytes ?? 0))
      return 'the length of a batch is wrong'
    if (this.#bytes < batchHeadBytes + payloadBytes) return null
    const whole = this.#peek(batchHeadBytes + payloadBytes)
    const batch: ReplicatedBatch = {
      firstLsn: lsn(readUint64(whole, 0)),
      entryCount: whole.readUInt32LE(8),
      payload: whole.subarray(batchHeadBytes),
      prevDigest: this.#prevDigest,
      digest: whole.subarray(16, batchHeadBytes),
    }
    this.#drop(whole.length)
    this.#prevDigest = batch.digest
    this.#left--
    return batch
  }

  /** Joins no more than is looked at. */
  #peek(count: number): Buffer {
    const [first] = this.#pieces
    if (first !== undefined && first.length >= count) return first.subarray(0, count)
    let joined = 0
    let bytes = 0
    while (bytes < count) bytes += this.#pieces[joined++]?.length ?? 0
    const whole = Buffer.concat(this.#pieces.splice(0, joined))
    this.#pieces.unshift(whole)
    return whole.subarray(0, count)
  }

  #drop(count: number): void {
    const rest = (this.#pieces.shift() as Buffer).subarray(count)
    if (rest.length > 0) this.#pieces.unshift(rest)
    this.#bytes -= count
  }
}

/** The name of a segment's object says where it lies in the stream, and what is in it. */
export interface BatchObjectName {
  readonly object: string
  readonly base: Lsn
  readonly tail: Lsn
  /** SHA-256 of what lies behind the header, in hexadecimal. */
  readonly sha256: string
}

/** A stream has no timelines of its own, so far: its objects lie where those of a first one would. */
export const streamPrefix = (stream: string): string => `${stream}/00000001/`

export function batchObjectName(stream: string, base: Lsn, tail: Lsn, sha256: string): string {
  return `${streamPrefix(stream)}${sixteen(base)}-${sixteen(tail)}-${sha256}.zst`
}

const pattern = /\/(\d{16})-(\d{16})-([0-9a-f]{64})\.zst$/

/** `null` for the name of any other object. */
export function parseBatchObjectName(stream: string, object: string): BatchObjectName | null {
  const [, base, tail, sha256] = pattern.exec(object) ?? []
  if (base === undefined || tail === undefined || sha256 === undefined) return null
  const name = { object, base: lsn(Number(base)), tail: lsn(Number(tail)), sha256 }
  return batchObjectName(stream, name.base, name.tail, sha256) === object ? name : null
}

const sixteen = (at: Lsn): string => String(at).padStart(16, '0')

/** Why the batches do not fill what their object says; null where they do. */
export function misfit(
  { base, tail, tailDigest }: Pick<BatchObjectHeader, 'base' | 'tail' | 'tailDigest'>,
  end: { readonly lsn: number; readonly digest: Buffer },
): string | null {
  if (end.lsn !== tail) return `it ends at LSN ${end.lsn} instead of ${tail} (it begins at ${base})`
  return end.digest.equals(tailDigest) ? null : `its digest at LSN ${tail} is another one than it says`
}
