import { CommanderError } from '../kernel/errors.ts'
import { piecesOf } from './draft-pieces.ts'
import type { Subscriber } from './subscriber.ts'

export interface Drafts {
  readonly from: Subscriber
  readonly body: Buffer
}

/** Drafts that wait to be appended, in the order in which they arrived. The credit of their senders bounds it. */
export class DraftInbox {
  readonly #batchBytesMax: number
  #waiting: Drafts[] = []

  /** @param batchBytesMax what one frame of the journal holds */
  constructor(batchBytesMax: number) {
    this.#batchBytesMax = batchBytesMax
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** @returns false when a single draft fits into no frame */
  add(from: Subscriber, drafts: Buffer): boolean {
    const pieces = piecesOf(drafts, this.#batchBytesMax)
    if (pieces === null) return false
    for (const body of pieces) this.#waiting.push({ from, body })
    return true
  }

  /** Those that go into the next frame together. */
  next(): { readonly count: number; readonly bytes: number } {
    const waiting = this.#waiting
    let bytes = 0
    let count = 0
    while (count < waiting.length) {
      const more = (waiting[count] as Drafts).body.length
      if (count > 0 && bytes + more > this.#batchBytesMax) break
      bytes += more
      count++
    }
    return { count, bytes }
  }

  take(count: number): readonly Drafts[] {
    const waiting = this.#waiting
    this.#waiting = count === waiting.length ? [] : waiting.slice(count)
    return count === waiting.length ? waiting : waiting.slice(0, count)
  }

  /** Takes those of one follower out. */
  drop(of: Subscriber): readonly Drafts[] {
    const dropped = this.#waiting.filter(({ from }) => from === of)
    if (dropped.length > 0) this.#waiting = this.#waiting.filter(({ from }) => from !== of)
    return dropped
  }

  /** The follower has subscribed again over the same connection: what waits is of the new subscriber, which goes on as the old. */
  handOver(before: Subscriber, after: Subscriber): void {
    after.refusing = before.refusing
    if (!this.#waiting.some(({ from }) => from === before)) return
    after.expectedSequence = before.expectedSequence
    this.#waiting = this.#waiting.map((one) => (one.from === before ? { from: after, body: one.body } : one))
  }

  clear(): void {
    this.#waiting = []
  }
}

export function draftTooLarge(name: string, bytes: number, batchBytesMax: number): CommanderError {
  const message = `${name} sent a draft larger than the ${batchBytesMax} bytes that a frame holds (${bytes})`
  return new CommanderError('protocol_violation', message)
}
