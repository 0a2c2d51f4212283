import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { isCommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import { type Digest, lastLsnOf, makeBatch, type ReplicatedBatch } from './batch.ts'

/** As much as the journal writer keeps for its own followers (`limits.bridgeBytesMax`); the same payloads, so they are held once. */
const bytesMax = 16_777_216

/**
 * What a leader has appended, for whoever does not have it yet: the newest batches in memory, older ones out of its local
 * segments, with their digests made again.
 */
export class BatchWindow {
  readonly #openStorage: () => JournalStorage
  #batches: ReplicatedBatch[] = []
  #first = 0
  #bytes = 0

  constructor(openStorage: () => JournalStorage) {
    this.#openStorage = openStorage
  }

  add(batch: ReplicatedBatch): void {
    this.#batches.push(batch)
    this.#bytes += batch.payload.length
    while (this.#bytes > bytesMax && this.#batches.length - this.#first > 1) {
      this.#bytes -= (this.#batches[this.#first] as ReplicatedBatch).payload.length
      this.#batches[this.#first] = undefined as never
      this.#first++
    }
    if (this.#first > 1024 && this.#first * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#first)
      this.#first = 0
    }
  }

  /**
   * Whole batches behind `after`, none that ends beyond `until`, at least one and no more than about `most` bytes.
   * @param digest at `after`, where one is known: without it nothing can be made again from the segments
   * @returns empty: they are neither in memory nor in the segments
   */
  behind(after: Lsn, digest: Digest | null, until: Lsn, most: number): readonly ReplicatedBatch[] {
    const at = this.#find(lsn(after + 1))
    if (at === -1) return digest === null ? [] : this.#fromSegments(after, digest, until, most)
    const found: ReplicatedBatch[] = []
    let bytes = 0
    for (let index = at; index < this.#batches.length && bytes < most; index++) {
      const batch = this.#batches[index] as ReplicatedBatch
      if (lastLsnOf(batch) > until) break
      found.push(batch)
      bytes += batch.payload.length
    }
    return found
  }

  /** Of the batch that begins there; -1 when it is not in memory. */
  #find(from: Lsn): number {
    let low = this.#first
    let high = this.#batches.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const { firstLsn } = this.#batches[middle] as ReplicatedBatch
      if (firstLsn === from) return middle
      if (firstLsn < from) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  #fromSegments(after: Lsn, digest: Digest, until: Lsn, most: number): readonly ReplicatedBatch[] {
    const reader = new JournalReader(this.#openStorage(), lsn(after + 1))
    const made: ReplicatedBatch[] = []
    try {
      for (const { firstLsn, entryCount, payload } of reader.read(most, until))
        made.push(makeBatch(made.at(-1)?.digest ?? digest, firstLsn, entryCount, payload))
      return made
    } catch (error) {
      // Removed meanwhile: whoever is so far behind is brought up from another server.
      if (isCommanderError(error) && error.code === 'not_found') return []
      throw error
    } finally {
      reader.close()
    }
  }
}
