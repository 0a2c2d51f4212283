import { JournalReader } from '../../../src/journal/reader.ts'
import type { JournalStorage } from '../../../src/journal/storage.ts'
import type { CommittedBatch, CommittedBatches } from '../../../src/journal-writer/committed-batches.ts'
import { type Lsn, lsn, nextLsn, noLsn } from '../../../src/kernel/identifiers.ts'

/** What a leader's segments hold, up to where the test says that it is committed. */
export class CommittedFeed implements CommittedBatches {
  committed: Lsn = noLsn
  isClosed = false
  readonly #storage: JournalStorage
  #more: () => void = () => {}

  constructor(storage: JournalStorage) {
    this.#storage = storage
  }

  commit(upTo: number): void {
    this.committed = lsn(upTo)
    this.#more()
  }

  next(after: Lsn): CommittedBatch | null {
    if (after >= this.committed) return null
    const reader = new JournalReader(this.#storage, nextLsn(after))
    const [batch] = reader.read(1, this.committed)
    reader.close()
    return batch ?? null
  }

  onMore(more: () => void): void {
    this.#more = more
  }

  close(): void {
    this.isClosed = true
  }
}
