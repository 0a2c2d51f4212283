import { JournalReader } from '../../../src/journal/reader.ts'
import type { JournalStorage } from '../../../src/journal/storage.ts'
import type { CommittedBatch } from '../../../src/journal-writer/committed-batches.ts'
import { type Lsn, lsn, nextLsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, lastLsnOf, makeBatch } from '../../../src/replication/batch.ts'
import { BatchQueue } from '../../../src/replication/batch-queue.ts'
import type { TestFeed } from './committed-feed.ts'

/** What a leader's segments hold, by the queue that feeds the journal writers of real nodes. */
export class QueuedFeed implements TestFeed {
  readonly #storage: JournalStorage
  readonly #queue = new BatchQueue(() => {})
  #end: Lsn = noLsn
  #digest = emptyDigest

  constructor(storage: JournalStorage) {
    this.#storage = storage
  }

  commit(upTo: number): void {
    const reader = new JournalReader(this.#storage, nextLsn(this.#end))
    const batches = reader.read(Number.POSITIVE_INFINITY, lsn(upTo)).map(({ firstLsn, entryCount, payload }) => {
      const batch = makeBatch(this.#digest, firstLsn, entryCount, Buffer.from(payload))
      this.#digest = batch.digest
      this.#end = lastLsnOf(batch)
      return batch
    })
    reader.close()
    this.#queue.add(batches)
  }

  next(after: Lsn): CommittedBatch | null {
    return this.#queue.next(after)
  }

  onMore(more: () => void): void {
    this.#queue.onMore(more)
  }

  close(): void {
    this.#queue.close()
  }
}
