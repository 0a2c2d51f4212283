import type { CommanderError } from '../kernel/errors.ts'
import { copyOf, type ReplicatedBatch } from './batch.ts'

/** Held for a reader that is slower than what it reads from. */
const bytesMax = 4_194_304

/** Batches on their way from somebody who brings them to one who asks for them one by one; bounded. */
export class FollowedBatches {
  readonly #drained: () => void
  readonly #batches: ReplicatedBatch[] = []
  #bytes = 0
  #error: CommanderError | null = null
  #isClosed = false
  #waiting: (() => void) | null = null

  /** @param drained there is room again */
  constructor(drained: () => void) {
    this.#drained = drained
  }

  get accepts(): boolean {
    return this.#bytes < bytesMax && !this.#isClosed
  }

  add(batches: readonly ReplicatedBatch[]): void {
    for (const batch of batches) {
      this.#batches.push(copyOf(batch))
      this.#bytes += batch.payload.length
    }
    this.#wake()
  }

  /** After what is here already. */
  fail(error: CommanderError): void {
    this.#error ??= error
    this.#wake()
  }

  /** What is here is not handed out any more. */
  close(): void {
    this.#isClosed = true
    this.#wake()
  }

  /** Null once it is closed. One call at a time. */
  async next(): Promise<ReplicatedBatch | null> {
    for (;;) {
      if (this.#isClosed) return null
      const batch = this.#batches.shift()
      if (batch !== undefined) {
        const was = this.accepts
        this.#bytes -= batch.payload.length
        if (!was && this.accepts) this.#drained()
        return batch
      }
      if (this.#error !== null) throw this.#error
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.()
  }
}
