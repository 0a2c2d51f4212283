import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { lastLsnOf, type ReplicatedBatch } from './batch.ts'
import { decodeStored } from './stored-batch.ts'

/** Readers of one segment that are kept open: so many peers may each read on where they stopped. */
const readersMax = 4

/** Reads batches from the files of a sound segment. Whoever reads on where he stopped does not search for the place again. */
export class SegmentReading {
  private readonly storage: JournalStorage
  /** By the LSN that each reads next; the one used last is the last. */
  private readonly readers = new Map<Lsn, JournalReader>()

  constructor(storage: JournalStorage) {
    this.storage = storage
  }

  /** @param written what has been written is read up to here */
  read(from: Lsn, to: Lsn, bytesMax: number, written: Lsn): ReplicatedBatch[] {
    const reader = this.readers.get(from) ?? new JournalReader(this.storage, from)
    this.readers.delete(from)
    const batches: ReplicatedBatch[] = []
    let next = from
    try {
      for (let bytes = 0; next <= to && (bytes < bytesMax || batches.length === 0); ) {
        const [stored] = reader.read(1, written)
        if (stored === undefined) break
        const { batch } = decodeStored(stored.firstLsn, stored.entryCount, stored.payload)
        batches.push(batch)
        bytes += batch.payload.length
        next = lsn(lastLsnOf(batch) + 1)
      }
    } catch (error) {
      reader.close()
      throw error
    }
    this.keep(next, reader)
    return batches
  }

  /** What they have read may be replaced. */
  close(): void {
    for (const reader of this.readers.values()) reader.close()
    this.readers.clear()
  }

  private keep(next: Lsn, reader: JournalReader): void {
    this.readers.get(next)?.close()
    this.readers.set(next, reader)
    for (const [oldest, unused] of this.readers) {
      if (this.readers.size <= readersMax) return
      unused.close()
      this.readers.delete(oldest)
    }
  }
}
