import { assert } from '../kernel/assert.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { Queue } from '../kernel/queue.ts'
import { lastLsnOf, type ReplicatedBatch } from './batch.ts'

/** Held for a journal writer that has no room for the moment. */
const bytesMax = 8_388_608

/** Committed batches on their way from the journal servers to the journal writer of this node; bounded. */
export class BatchQueue {
  readonly #queue = new Queue<ReplicatedBatch>()
  readonly #drained: () => void
  #bytes = 0
  #more: () => void = () => {}
  #isClosed = false

  /** @param drained there is room again */
  constructor(drained: () => void) {
    this.#drained = drained
  }

  get accepts(): boolean {
    return this.#bytes < bytesMax && !this.#isClosed
  }

  /** They are copied: what was received is a view into a buffer of the connection. */
  add(batches: readonly ReplicatedBatch[]): void {
    if (this.#isClosed) return
    for (const batch of batches) {
      this.#queue.push({ ...batch, payload: Buffer.from(batch.payload) })
      this.#bytes += batch.payload.length
    }
    this.#more()
  }

  /**
   * The batch that begins behind `after`; null while there is none. It is here until what is behind it is asked for: who has no room for
   * it now asks for it again.
   */
  next(after: Lsn): ReplicatedBatch | null {
    this.#dropUpTo(after)
    const batch = this.#queue.peek()
    if (batch === undefined) return null
    assert(batch.firstLsn === after + 1, `batch ${batch.firstLsn} to ${lastLsnOf(batch)} follows entry ${after}`)
    return batch
  }

  onMore(more: () => void): void {
    this.#more = more
  }

  #dropUpTo(after: Lsn): void {
    const was = this.accepts
    for (let first = this.#queue.peek(); first !== undefined && lastLsnOf(first) <= after; first = this.#queue.peek()) {
      this.#queue.shift()
      this.#bytes -= first.payload.length
    }
    if (!was && this.accepts) this.#drained()
  }

  close(): void {
    this.#isClosed = true
    this.#queue.takeAll()
    this.#bytes = 0
  }
}
