import type { Lsn } from '../kernel/identifiers.ts'
import { lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { StreamArchive } from './stream-archive.ts'
import type { StreamMeta } from './stream-meta.ts'

/** What one reader takes out of an archive, some batches at a time; it goes on where it stopped. */
export class ArchiveReading {
  readonly #archive: StreamArchive
  #open: { readonly batches: AsyncIterator<readonly ReplicatedBatch[]>; at: Lsn } | null = null

  constructor(archive: StreamArchive) {
    this.#archive = archive
  }

  /** @throws CommanderError as `StreamArchive.read`; the next call begins anew */
  async next(after: Lsn, meta: StreamMeta): Promise<readonly ReplicatedBatch[]> {
    if (this.#open?.at !== after) this.close()
    this.#open ??= { batches: this.#archive.read(after, meta)[Symbol.asyncIterator](), at: after }
    const open = this.#open
    try {
      const { value, done } = await open.batches.next()
      if (done !== true && value.length > 0) open.at = lastLsnOf(value.at(-1) as ReplicatedBatch)
      else this.close()
      return done === true ? [] : value
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    const open = this.#open
    this.#open = null
    // What it is at ends by itself: nobody waits for it.
    open?.batches.return?.().catch(() => {})
  }
}
