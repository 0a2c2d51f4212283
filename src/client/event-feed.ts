import type { ClientEvent } from '../ipc/call-codec.ts'
import type { Channel } from '../ipc/channel.ts'
import type { CommanderError } from '../kernel/errors.ts'

interface Batch {
  readonly events: readonly ClientEvent[]
  readonly bytes: number
  readonly channel: Channel
}

/**
 * Between the connection, which pushes blocks of events, and the loop that takes them. A block's bytes are released
 * when it is taken, so a slow loop stops the gateway and not the memory (G10).
 */
export class EventFeed {
  #batches: Batch[] = []
  #taker: (() => void) | null = null
  #isEnded = false
  #error: CommanderError | null = null

  push(events: readonly ClientEvent[], bytes: number, channel: Channel): void {
    if (this.#isEnded) channel.release(bytes)
    else this.#batches.push({ events, bytes, channel })
    this.#wake()
  }

  end(error: CommanderError | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#error = error
    this.#wake()
  }

  /** Nobody takes any more. */
  close(): void {
    this.end(null)
    for (const { bytes, channel } of this.#batches) channel.release(bytes)
    this.#batches = []
  }

  /** The next block, or null at the end. */
  async next(): Promise<readonly ClientEvent[] | null> {
    for (;;) {
      const batch = this.#batches.shift()
      if (batch !== undefined) {
        batch.channel.release(batch.bytes)
        return batch.events
      }
      if (this.#isEnded) {
        if (this.#error !== null) throw this.#error
        return null
      }
      await new Promise<void>((resolve) => {
        this.#taker = resolve
      })
    }
  }

  #wake(): void {
    this.#taker?.()
    this.#taker = null
  }
}
