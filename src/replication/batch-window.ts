import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { RecentBatches } from '../kernel/recent-batches.ts'
import { type Digest, lastLsnOf, makeBatch, type ReplicatedBatch } from './batch.ts'

/**
 * What a leader has appended, for whoever does not have it yet: the newest batches in memory, older ones out of its local
 * segments, with their digests made again.
 */
export class BatchWindow {
  readonly #openStorage: (() => JournalStorage) | null
  /** As many as the journal writer keeps for its own followers; the same payloads, so they are held once. */
  readonly #recent = new RecentBatches<ReplicatedBatch>()

  /** @param openStorage of the local segments; null: there are none */
  constructor(openStorage: (() => JournalStorage) | null) {
    this.#openStorage = openStorage
  }

  add(batch: ReplicatedBatch): void {
    this.#recent.add(batch)
  }

  /**
   * Whole batches behind `after`, none that ends beyond `until`, at least one and no more than about `most` bytes.
   * @param digest at `after`, where one is known: without it nothing can be made again from the segments
   * @returns empty: they are neither in memory nor in the segments
   */
  behind(after: Lsn, digest: Digest | null, until: Lsn, most: number): readonly ReplicatedBatch[] {
    const found: ReplicatedBatch[] = []
    let bytes = 0
    if (this.#recent.startingAt(lsn(after + 1)) === null) {
      // Before this node has appended anything, its segments may end anywhere below where it began to lead.
      const isLocal = !this.#recent.isEmpty && this.#openStorage !== null && digest !== null
      return isLocal ? this.#fromSegments(this.#openStorage(), after, digest, until, most) : found
    }
    for (const batch of this.#recent.from(lsn(after + 1))) {
      if (lastLsnOf(batch) > until || bytes >= most) break
      found.push(batch)
      bytes += batch.payload.length
    }
    return found
  }

  #fromSegments(
    storage: JournalStorage,
    after: Lsn,
    digest: Digest,
    until: Lsn,
    most: number,
  ): readonly ReplicatedBatch[] {
    const reader = new JournalReader(storage, lsn(after + 1))
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
