import { prepareCut } from '../journal/cut.ts'
import { JournalReader } from '../journal/reader.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { crc32, digestBytes } from '../kernel/checksum.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import { type Digest, digestOf, lastLsnOf, type ReplicatedBatch } from './batch.ts'

/** A place in a stream: everything up to this entry, by its digest. */
export interface StreamPlace {
  readonly lsn: Lsn
  readonly digest: Digest
}

const endOfStream = lsn(Number.MAX_SAFE_INTEGER)

/**
 * What a node has of a stream in its local segments, read along with what is committed. Nobody has the segments open. The
 * segments hold no digests of the stream, so they are made again from a place that is known to be common.
 */
export class CacheComparison {
  readonly #reader: JournalReader
  #common: StreamPlace
  #differs = false

  /** @param from a place that the segments and the stream have in common; the segments begin no later than behind it */
  constructor(storage: JournalStorage, from: StreamPlace) {
    this.#reader = new JournalReader(storage, lsn(from.lsn + 1))
    this.#common = from
  }

  /** The last place that is known to be common. */
  get common(): StreamPlace {
    return this.#common
  }

  /**
   * Compares with the next committed batch.
   * @returns false: the segments end before it, are damaged there, or hold something else; there is nothing more to compare
   */
  isNext(batch: ReplicatedBatch): boolean {
    if (this.#differs) return false
    const own = this.#read()
    const last = lastLsnOf(batch)
    const isSame =
      own !== null &&
      own.firstLsn === batch.firstLsn &&
      own.entryCount === batch.entryCount &&
      digestOf(this.#common.digest, own.firstLsn, own.entryCount, own.payload).equals(batch.digest)
    if (isSame) this.#common = { lsn: last, digest: Buffer.from(batch.digest) }
    else this.#differs = true
    return isSame
  }

  close(): void {
    this.#reader.close()
  }

  /** A damaged cache is one that ends there. */
  #read(): { readonly firstLsn: Lsn; readonly entryCount: number; readonly payload: Buffer } | null {
    try {
      return this.#reader.read(1, endOfStream)[0] ?? null
    } catch (error) {
      if (isCommanderError(error)) return null
      throw error
    }
  }
}

/** Whether the segments hold this place: its entry is there, and the last one of a batch. */
export function holdsPlace(storage: JournalStorage, place: StreamPlace): boolean {
  const first = segmentsOf(storage.list())[0]
  if (first === undefined) return place.lsn === 0
  if (first.baseLsn === place.lsn + 1) return true
  if (first.baseLsn > place.lsn) return false
  const reader = new JournalReader(storage, place.lsn)
  try {
    const batch = reader.read(1, endOfStream)[0]
    return batch !== undefined && lastLsnOf(batch) === place.lsn
  } catch (error) {
    if (isCommanderError(error)) return false
    throw error
  } finally {
    reader.close()
  }
}

/** Drops what the segments hold behind the common part: an uncommitted end of a former leader, or a damaged one. */
export function cutToCommon(storage: JournalStorage, common: Lsn): void {
  const first = segmentsOf(storage.list())[0]
  if (first === undefined) return
  if (first.baseLsn > common) dropCache(storage)
  else prepareCut(storage, common, common)()
}

/** The segments are not of the stream, or nobody can tell: they are fetched again. */
export function dropCache(storage: JournalStorage): void {
  for (const name of storage.list()) storage.remove(name)
}

/** The file in which a node notes a place that its segments have in common with the stream, so that it need not compare all. */
const placeName = 'stream.place'
const placeBytes = 8 + digestBytes

export function notePlace(storage: JournalStorage, { lsn: at, digest }: StreamPlace): void {
  const bytes = Buffer.alloc(placeBytes + 4)
  writeUint64(bytes, at, 0)
  digest.copy(bytes, 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, placeBytes)), placeBytes)
  storage.writeWhole(placeName, bytes)
}

/** null: none was noted, or the note is damaged. */
export function notedPlace(storage: JournalStorage): StreamPlace | null {
  const bytes = storage.readWhole(placeName)
  if (bytes?.length !== placeBytes + 4) return null
  if (crc32(bytes.subarray(0, placeBytes)) !== bytes.readUInt32LE(placeBytes)) return null
  return { lsn: lsn(readUint64(bytes, 0)), digest: Buffer.from(bytes.subarray(8, placeBytes)) }
}
