import type { Channel } from '../ipc/channel.ts'
import { encodeEntriesHeader, encodeNumber, journalFrames, type Subscribe } from '../ipc/journal-protocol.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import type { Bridge, WrittenBatch } from './bridge.ts'

/**
 * One process that follows the journal, as the writer sees it. While it takes what it is sent it is live; once its
 * credit is used up nothing more is queued for it (G10): it gets on from the bridge, or is sent back to the segments.
 */
export class Subscriber {
  readonly channel: Channel
  readonly name: string
  readonly origin: number
  readonly ordered: boolean
  readonly followsFlush: boolean
  live = false
  /** The sequence that its next draft must have. */
  expectedSequence: number
  /** A draft was refused and it has not said yet that it dropped what was built on it. */
  refusing = false
  #next: Lsn

  constructor(channel: Channel, hello: Subscribe) {
    this.channel = channel
    this.name = hello.name
    this.origin = hello.origin
    this.ordered = hello.ordered
    this.followsFlush = hello.followsFlush
    this.expectedSequence = hello.nextSequence
    this.#next = lsn(hello.from)
  }

  get next(): Lsn {
    return this.#next
  }

  /** A batch was written just now. `header` is shared by all subscribers. */
  offer(batch: WrittenBatch, header: Buffer): void {
    if (!this.live) return
    if (!this.channel.writable) {
      this.live = false
      return
    }
    this.#send(batch, header)
  }

  /** Its credit is back: on from the bridge, or from the segments if the bridge no longer reaches so far. */
  catchUp(bridge: Bridge, written: Lsn): void {
    while (this.#next <= written) {
      if (!this.channel.writable) return
      const batch = bridge.startingAt(this.#next)
      if (batch === null) {
        this.channel.send(journalFrames.lagged, encodeNumber(this.#next - 1))
        return
      }
      this.#send(batch, encodeEntriesHeader(batch.firstLsn, batch.lastLsn))
    }
    this.live = true
  }

  #send(batch: WrittenBatch, header: Buffer): void {
    this.channel.send(journalFrames.entries, header, batch.payload)
    this.#next = nextLsn(batch.lastLsn)
  }
}
