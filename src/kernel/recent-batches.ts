import type { Lsn } from './identifiers.ts'
import { limits } from './limits.ts'

interface Batch {
  readonly firstLsn: Lsn
  readonly payload: Buffer
}

/** The newest batches of entries, in order and without a gap, as many as `limits.bridgeBytesMax` holds but at least one. */
export class RecentBatches<B extends Batch> {
  #batches: B[] = []
  #first = 0
  #bytes = 0

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  add(batch: B): void {
    this.#batches.push(batch)
    this.#bytes += batch.payload.length
    while (this.#bytes > limits.bridgeBytesMax && this.#batches.length - this.#first > 1) {
      this.#bytes -= (this.#batches[this.#first] as B).payload.length
      this.#batches[this.#first] = undefined as never
      this.#first++
    }
    if (this.#first > 1024 && this.#first * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#first)
      this.#first = 0
    }
  }

  /** The batch that begins with `from`; null when it is not here. */
  startingAt(from: Lsn): B | null {
    return this.#batches[this.#find(from)] ?? null
  }

  /** The same and all after it; none when it is not here. */
  *from(from: Lsn): Generator<B> {
    const at = this.#find(from)
    if (at === -1) return
    for (let index = at; index < this.#batches.length; index++) yield this.#batches[index] as B
  }

  /** -1 when it is not here. */
  #find(from: Lsn): number {
    let low = this.#first
    let high = this.#batches.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const { firstLsn } = this.#batches[middle] as B
      if (firstLsn === from) return middle
      if (firstLsn < from) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
}
