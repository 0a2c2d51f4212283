import { wallMsOf } from '../actions/entry-layout.ts'
import type { Channel } from '../ipc/channel.ts'
import { encodeEntriesHeader, encodeWatermark, journalFrames, type Watermark } from '../ipc/journal-protocol.ts'
import { encodeLeading, type Leadership } from '../ipc/leadership.ts'
import type { Attestation } from './attestation.ts'
import { Bridge, type WrittenBatch } from './bridge.ts'
import type { Subscriber } from './subscriber.ts'

/** A process that follows, and how far it has been sent entries. */
export interface FollowerPlace {
  readonly name: string
  readonly next: number
  readonly live: boolean
}

/** Those that follow the journal, and what they are sent. */
export class Audience {
  readonly #subscribers = new Map<Channel, Subscriber>()
  readonly #bridge = new Bridge()
  readonly #mark: () => Watermark

  constructor(mark: () => Watermark) {
    this.#mark = mark
  }

  get(channel: Channel): Subscriber | undefined {
    return this.#subscribers.get(channel)
  }

  /** Those of another connection under the same name. */
  namesakes({ channel, name }: Subscriber): Subscriber[] {
    return [...this.#subscribers.values()].filter((other) => other.name === name && other.channel !== channel)
  }

  values(): IterableIterator<Subscriber> {
    return this.#subscribers.values()
  }

  places(): FollowerPlace[] {
    return [...this.values()].map(({ name, next, live }) => ({ name, next, live }))
  }

  add(subscriber: Subscriber): void {
    this.#subscribers.set(subscriber.channel, subscriber)
  }

  delete(channel: Channel): void {
    this.#subscribers.delete(channel)
  }

  /** Whether what the subscriber wants next is still here, and need not be read from the segments. */
  reaches({ next }: Subscriber): boolean {
    return next > this.#mark().written || this.#bridge.startingAt(next) !== null
  }

  /** Sends what it has missed, as far as it takes it. */
  catchUp(subscriber: Subscriber): void {
    subscriber.catchUp(this.#bridge, this.#mark().written)
  }

  /** The connection takes more again. */
  resume(channel: Channel): void {
    const subscriber = this.#subscribers.get(channel)
    if (subscriber === undefined) return
    this.catchUp(subscriber)
    if (channel.writable) channel.send(journalFrames.watermark, encodeWatermark(this.#mark()))
  }

  /** A batch was written just now. */
  fanOut(batch: WrittenBatch, attestation: Attestation): void {
    this.#bridge.add(batch)
    if (attestation.isDue(wallMsOf(batch.payload, 0))) attestation.ask(batch.lastLsn, this.values())
    const header = encodeEntriesHeader(batch.firstLsn, batch.lastLsn)
    for (const subscriber of this.values()) {
      subscriber.offer(batch, header)
      subscriber.channel.flush()
    }
  }

  /** @param flushedOnly nothing has moved but the flushed watermark: for those that wait for it. */
  announce(flushedOnly: boolean): void {
    const mark = encodeWatermark(this.#mark())
    for (const { followsFlush, channel } of this.values()) {
      if ((flushedOnly && !followsFlush) || !channel.writable) continue
      channel.send(journalFrames.watermark, mark)
      if (flushedOnly) channel.flush()
    }
  }

  /** Whether they take it or not: it is short and rare, and they wait for it. */
  tellLeadership(leadership: Leadership): void {
    const frame = encodeLeading({ ...leadership, written: this.#mark().written })
    for (const { channel } of this.values()) {
      channel.send(journalFrames.leading, frame)
      channel.flush()
    }
  }
}
