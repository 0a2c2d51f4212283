import type { Random } from '../kernel/environment.ts'
import { limits } from '../kernel/limits.ts'
import { NumberMap } from '../kernel/number-map.ts'

/**
 * Numbered calls of one client, so that the database recognises a call that it is sent twice (RIFL, SOSP 2015).
 * The database remembers only from the oldest call without an answer on; a session whose window gets too wide, because
 * one call takes long, is followed by another.
 */
export class CallSession {
  /** 1 to 2^53 - 1. */
  readonly id: number
  readonly #unanswered = new NumberMap<true>()
  /** The oldest call without an answer; `#next` when there is none. */
  #first = 0
  #next = 0

  constructor(random: Random) {
    this.id = (random.uint32() & 0x1fffff) * 4294967296 + random.uint32() || 1
  }

  /** Sequences are added in order. */
  add(sequence: number): void {
    if (this.#unanswered.size === 0) this.#first = sequence
    this.#unanswered.set(sequence, true)
    this.#next = sequence + 1
  }

  answered(sequence: number): void {
    this.#unanswered.delete(sequence)
    while (this.#first < this.#next && !this.#unanswered.has(this.#first)) this.#first++
  }

  /** All calls below this one have their answers. */
  answeredBelow(next: number): number {
    return this.#unanswered.size === 0 ? next : this.#first
  }

  isTooWide(next: number): boolean {
    return next - this.answeredBelow(next) >= limits.sessionWindowMax
  }
}
