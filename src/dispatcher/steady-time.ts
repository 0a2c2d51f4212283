import type { Clock } from '../kernel/environment.ts'

/**
 * Milliseconds that go on with the monotonic clock and never go back, not over restarts either: the wall clock says only
 * where they begin. What the journal counts by time is counted by these.
 */
export class SteadyTime {
  readonly #clock: Clock
  #offsetMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offsetMs = clock.wallMs() - clock.monotonicMs()
  }

  /** So late it was when something was written. */
  isAtLeast(ms: number): void {
    this.#offsetMs = Math.max(this.#offsetMs, ms - this.#clock.monotonicMs())
  }

  nowMs(): number {
    return Math.floor(this.#offsetMs + this.#clock.monotonicMs())
  }
}
