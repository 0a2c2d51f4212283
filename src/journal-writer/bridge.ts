import type { Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'

export interface WrittenBatch {
  readonly firstLsn: Lsn
  readonly lastLsn: Lsn
  readonly payload: Buffer
}

/** The newest batches, kept so that a follower that comes from the segments finds the live stream without a gap. */
export class Bridge {
  #batches: WrittenBatch[] = []
  #first = 0
  #bytes = 0

  add(batch: WrittenBatch): void {
    this.#batches.push(batch)
    this.#bytes += batch.payload.length
    while (this.#bytes > limits.bridgeBytesMax && this.#batches.length - this.#first > 1) {
      this.#bytes -= (this.#batches[this.#first] as WrittenBatch).payload.length
      this.#batches[this.#first] = undefined as never
      this.#first++
    }
    if (this.#first > 1024 && this.#first * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#first)
      this.#first = 0
    }
  }

  /** The batch that begins with `from`; null when it is not here. */
  startingAt(from: Lsn): WrittenBatch | null {
    let low = this.#first
    let high = this.#batches.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const batch = this.#batches[middle] as WrittenBatch
      if (batch.firstLsn === from) return batch
      if (batch.firstLsn < from) low = middle + 1
      else high = middle - 1
    }
    return null
  }
}
