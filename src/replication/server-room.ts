import { frameBytes } from '../journal/frame.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { ReplicatedBatch } from './batch.ts'
import { storedHeadBytes } from './stored-batch.ts'

export interface ServerRoomOptions {
  /** What the files of all segments may take. */
  readonly maxBytes: number
  /** What they are measured by: a file of a segment is made as a whole. */
  readonly fileBytes: number
  readonly storages: () => readonly JournalStorage[]
}

/**
 * Keeps a journal server within what it was given of its disk: beyond that it takes no batches, as if the disk were full, until some of what it
 * has was trimmed. It goes beyond by no more than a file for each segment that is being written, and its spare; promises and marks
 * always have room. Files are measured now and then, and what was appended since counts in between.
 */
export class ServerRoom {
  readonly #o: ServerRoomOptions
  #measured: number | null = null
  #appended = 0

  constructor(options: ServerRoomOptions) {
    this.#o = options
  }

  /** Files came or went. */
  changed(): void {
    this.#measured = null
  }

  /** @throws CommanderError `journal_full`: nothing was appended */
  take(batches: readonly ReplicatedBatch[]): void {
    const { maxBytes, fileBytes } = this.#o
    if (maxBytes === Number.MAX_SAFE_INTEGER) return
    if (this.#measured === null || this.#appended >= fileBytes) this.#measure()
    const used = (this.#measured ?? 0) + this.#appended
    if (used >= maxBytes) throw overBound(used, maxBytes)
    for (const { payload } of batches) this.#appended += frameBytes(storedHeadBytes + payload.length)
  }

  #measure(): void {
    this.#appended = 0
    this.#measured = 0
    for (const storage of this.#o.storages()) for (const name of storage.list()) this.#measured += sizeOf(storage, name)
  }
}

/** One that gets another name at this moment counts the next time. */
function sizeOf(storage: JournalStorage, name: string): number {
  try {
    const file = storage.openReadOnly(name)
    try {
      return file.size()
    } finally {
      file.close()
    }
  } catch (error) {
    if (isCommanderError(error)) return 0
    throw error
  }
}

const overBound = (used: number, maxBytes: number): CommanderError =>
  new CommanderError(
    'journal_full',
    `the segments on this journal server take ${used} bytes of ${maxBytes} (replication.serverBytes): nothing more is taken until some are ` +
      'trimmed. The nodes that are behind, or the archive, hold that back: see their status',
    { details: { used, maxBytes } },
  )
