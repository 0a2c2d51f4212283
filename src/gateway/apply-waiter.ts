import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Gateway } from './gateway.ts'

interface Waiting {
  readonly minLsn: number
  readonly done: (error: CommanderError | null) => void
  readonly timer: Timer
}

/** Lets reads wait until the store has applied an LSN: read your writes (G9). Bounded in time and number. */
export class ApplyWaiter {
  readonly #gateway: Gateway
  readonly #environment: Environment
  readonly #waiting = new Set<Waiting>()

  constructor(gateway: Gateway, environment: Environment) {
    this.#gateway = gateway
    this.#environment = environment
    gateway.onApplied((applied) => this.#applied(applied))
  }

  /**
   * Calls `done` at once when the store is there already. `timeout` after `timeoutMs`.
   * @param requested undefined: whatever this gateway has answered anybody, so that nobody misses what was just said
   *   to be done; 0: nothing
   */
  wait(requested: number | undefined, timeoutMs: number, done: (error: CommanderError | null) => void): void {
    const { applied, answered } = this.#gateway.marks
    const minLsn = requested ?? answered
    if (minLsn <= applied) {
      done(null)
      return
    }
    if (this.#waiting.size >= waitingMax) {
      done(new CommanderError('overloaded', `${waitingMax} reads wait for the store already; try again later`))
      return
    }
    const timer = this.#environment.scheduler.after(timeoutMs, () => {
      this.#waiting.delete(waiting)
      const at = this.#gateway.marks.applied
      done(
        new CommanderError(
          'timeout',
          `the store is at entry ${at}, and did not reach ${minLsn} within ${timeoutMs} ms`,
        ),
      )
    })
    const waiting: Waiting = { minLsn, done, timer }
    this.#waiting.add(waiting)
  }

  #applied(applied: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.minLsn > applied) continue
      this.#waiting.delete(waiting)
      waiting.timer.cancel()
      waiting.done(null)
    }
  }
}

const waitingMax = 10_000
