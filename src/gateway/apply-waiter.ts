import type { ReadFloor } from '../ipc/client-protocol.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Gateway } from './gateway.ts'

interface Waiting {
  readonly minLsn: number
  readonly done: (error: CommanderError | null) => void
  readonly timer: Timer
}

/** Why the store applies nothing for now; null when nothing is known of it. */
export type AskStoreTrouble = () => Promise<CommanderError | null>

/** Lets reads wait until the store has applied an LSN: read your writes (G9). Bounded in time and number. */
export class ApplyWaiter {
  readonly #gateway: Gateway
  readonly #environment: Environment
  readonly #waiting = new Set<Waiting>()
  readonly #askTrouble: AskStoreTrouble
  /** For all that run out of time meanwhile. */
  #trouble: ReturnType<AskStoreTrouble> | null = null

  constructor(gateway: Gateway, environment: Environment, askTrouble: AskStoreTrouble = async () => null) {
    this.#gateway = gateway
    this.#environment = environment
    this.#askTrouble = askTrouble
    gateway.onApplied((applied) => this.#applied(applied))
  }

  /**
   * Calls `done` at once when the store is there already. After `timeoutMs` with `timeout`, or with what keeps the store
   * from applying, such as a full disk: `store_failed`, retryable.
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
      this.#findTrouble().then((trouble) => done(trouble ?? this.#late(minLsn, timeoutMs)))
    })
    const waiting: Waiting = { minLsn, done, timer }
    this.#waiting.add(waiting)
  }

  /** The same for a read that somebody asked for. A linearizable one hears first how far the store must be. */
  waitFor(
    { minLsn, sessionLsn = 0, consistency }: ReadFloor,
    timeoutMs: number,
    done: (error: CommanderError | null) => void,
  ): void {
    const least = Math.max(minLsn ?? this.#gateway.marks.answered, sessionLsn)
    if (consistency !== 'linearizable') {
      this.wait(least, timeoutMs, done)
      return
    }
    this.#gateway.readPoints.ask((point) => {
      if (typeof point === 'number') this.wait(Math.max(least, point), timeoutMs, done)
      else done(point)
    })
  }

  async #findTrouble(): Promise<CommanderError | null> {
    this.#trouble ??= this.#askTrouble().catch(() => null)
    const trouble = await this.#trouble
    this.#trouble = null
    return trouble
  }

  #late(minLsn: number, timeoutMs: number): CommanderError {
    const at = this.#gateway.marks.applied
    return new CommanderError(
      'timeout',
      `the store is at entry ${at}, and did not reach ${minLsn} within ${timeoutMs} ms`,
    )
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
