import type { Lsn } from '../kernel/identifiers.ts'
import { Queue } from '../kernel/queue.ts'
import type { Call, Replier } from './call.ts'

interface Owed {
  readonly call: Call
  /** The store has the outcome once it has applied this. */
  readonly neededLsn: Lsn
}

/**
 * Answers to connections that take no more for now. Only the calls are kept, and the outcomes are read from the store when
 * their turn comes: a client may have more answers to come than it takes at once, and than memory should hold (G10).
 */
export class OwedAnswers {
  readonly #byReplier = new Map<Replier, Queue<Owed>>()

  get length(): number {
    let sum = 0
    for (const { length } of this.#byReplier.values()) sum += length
    return sum
  }

  add(call: Call, neededLsn: Lsn): void {
    let queue = this.#byReplier.get(call.replier)
    if (queue === undefined) {
      queue = new Queue()
      this.#byReplier.set(call.replier, queue)
    }
    queue.push({ call, neededLsn })
  }

  /** Whose answers may be due when the store has applied more. */
  get repliers(): readonly Replier[] {
    return [...this.#byReplier.keys()]
  }

  /** Those that can be answered now: each is to be answered before the next is asked for. */
  *due(replier: Replier, applied: Lsn): Generator<Call> {
    const queue = this.#byReplier.get(replier)
    if (queue === undefined) return
    for (let next = queue.peek(); next !== undefined && next.neededLsn <= applied; next = queue.peek()) {
      if (replier.isFull === true) return
      queue.shift()
      yield next.call
    }
    if (queue.length === 0) this.#byReplier.delete(replier)
  }

  /** The connection is gone. */
  forget(replier: Replier): void {
    this.#byReplier.delete(replier)
  }
}
