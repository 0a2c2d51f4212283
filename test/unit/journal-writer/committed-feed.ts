import { JournalReader } from '../../../src/journal/reader.ts'
import type { JournalStorage } from '../../../src/journal/storage.ts'
import type { CommittedBatch, CommittedBatches } from '../../../src/journal-writer/committed-batches.ts'
import { type Lsn, lsn, nextLsn, noLsn } from '../../../src/kernel/identifiers.ts'

/** A feed of which the test says up to where it is committed. */
export interface TestFeed extends CommittedBatches {
  commit(upTo: number): void
}

/** What a leader's segments hold. */
export class CommittedFeed implements TestFeed {
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
