import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { QueuedBatch } from './queued-batch.ts'
import { unreadable } from './reset-reason.ts'
import type { SegmentReader, SegmentSource } from './segment-source.ts'

/** Reads the segments on disk, slice by slice, where the writer does not send what is wanted. */
export class CatchUp {
  readonly #segments: SegmentSource
  #reader: SegmentReader | null = null

  constructor(segments: SegmentSource) {
    this.#segments = segments
  }

  get isUnderWay(): boolean {
    return this.#reader !== null
  }

  /** From the entry behind `after` on. @returns why that cannot be, or null */
  begin(after: Lsn, applied: Lsn): CommanderError | null {
    this.stop()
    try {
      this.#reader = this.#segments(nextLsn(after))
      return null
    } catch (error) {
      return unreadable(applied, error)
    }
  }

  /** A slice of what lies between `applied` and `written`, which the writer has said to be written; or why it cannot be read. */
  slice(applied: Lsn, written: Lsn): QueuedBatch[] | CommanderError {
    try {
      const batches = this.#reader?.read(limits.catchUpSliceBytes, written) ?? []
      if (batches.length === 0 && applied < written) {
        const text = `the segments end at ${applied}, not ${written}`
        throw new CommanderError('journal_corrupt', text)
      }
      return batches.map(({ payload, firstLsn, entryCount }) => {
        return { payload, offset: 0, firstLsn, lastLsn: lsn(firstLsn + entryCount - 1), bytes: 0 }
      })
    } catch (error) {
      return unreadable(applied, error)
    }
  }

  stop(): void {
    this.#reader?.close()
    this.#reader = null
  }
}
