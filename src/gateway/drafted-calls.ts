import { assert } from '../kernel/assert.ts'
import { Queue } from '../kernel/queue.ts'
import type { Call } from './call.ts'

/** Drafts that have not come back as entries, in the order of their sequences. */
export class DraftedCalls {
  readonly #calls = new Queue<Call>()
  /** The last sequence that nobody waits for any more, although its entry may still come back; null: there is none. */
  #forsaken: number | null = null

  get length(): number {
    return this.#calls.length
  }

  add(call: Call): void {
    this.#calls.push(call)
  }

  /** The entry of this one came back: those before it that were refused go with it. Null where nobody waits for it any more. */
  take(sequence: number): Call | null {
    if (this.#forsaken !== null && !isAfter(sequence, this.#forsaken)) return null
    let call = this.#calls.shift()
    while (call?.isRefused === true) call = this.#calls.shift()
    assert(call?.sequence === sequence, `draft ${sequence} comes back in order, not ${call?.sequence}`)
    return call
  }

  /** @returns the one that was refused, if it was still under way */
  refuse(sequence: number): Call | undefined {
    let refused: Call | undefined
    for (const call of this.#calls) {
      if (call.sequence !== sequence) continue
      call.isRefused = true
      refused = call
      break
    }
    // They are drafts no longer; those behind others go when an entry of a later one comes back.
    while (this.#calls.peek()?.isRefused === true) this.#calls.shift()
    return refused
  }

  /** The same, where their entries may yet come back. */
  forsake(): Call[] {
    const calls = this.takeAll()
    this.#forsaken = calls.at(-1)?.sequence ?? this.#forsaken
    return calls
  }

  /** All that were not refused; they are no drafts any more. */
  takeAll(): Call[] {
    return [...this.#calls.takeAll()].filter(({ isRefused }) => !isRefused)
  }
}

/** In the order of sequences, which begin anew after 2^32. */
const isAfter = (a: number, b: number): boolean => ((a - b) | 0) > 0
