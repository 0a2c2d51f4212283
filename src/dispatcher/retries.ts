import type { Environment, Timer } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { PendingCommand } from '../state/commands.ts'

interface Pause {
  readonly timer: Timer
  readonly dueMs: number
}

/**
 * How long failed commands have to wait yet. Where the failure was seen, by the monotonic clock: the wall clock may jump.
 * What is only known from a state of before falls back on it, within the pause that was asked for.
 */
export class Retries {
  readonly #environment: Environment
  readonly #dueMs = new Map<Lsn, number>()
  /** By aggregate key. */
  readonly #pauses = new Map<string, Pause>()

  constructor(environment: Environment) {
    this.#environment = environment
  }

  stop(): void {
    for (const { timer } of this.#pauses.values()) timer.cancel()
    this.#pauses.clear()
  }

  failed({ lsn, retryDelayMs }: PendingCommand): void {
    this.#dueMs.set(lsn, this.#environment.clock.monotonicMs() + retryDelayMs)
  }

  /** One that is put off is, from now on, whatever the wall clock does. */
  received({ lsn, retryAtMs, retryDelayMs }: PendingCommand): void {
    if (retryAtMs !== 0) this.#dueMs.set(lsn, this.#environment.clock.monotonicMs() + retryDelayMs)
  }

  ended(command: Lsn): void {
    if (this.#dueMs.size > 0) this.#dueMs.delete(command)
  }

  /** 0 or less: not at all. */
  waitMs({ lsn, retryAtMs, retryDelayMs }: PendingCommand): number {
    if (retryAtMs === 0) return 0
    const { clock } = this.#environment
    const nowMs = clock.monotonicMs()
    let dueMs = this.#dueMs.get(lsn)
    if (dueMs === undefined) {
      dueMs = nowMs + Math.min(retryAtMs - clock.wallMs(), retryDelayMs)
      this.#dueMs.set(lsn, dueMs)
    }
    return dueMs - nowMs
  }

  /** Calls `run` after a while; of several for one aggregate the earliest counts. */
  later(key: string, delayMs: number, run: () => void): void {
    const dueMs = this.#environment.clock.monotonicMs() + delayMs
    const pause = this.#pauses.get(key)
    // What it was for may have ended since, and another command of the aggregate have failed.
    if (pause !== undefined && pause.dueMs <= dueMs) return
    pause?.timer.cancel()
    const timer = this.#environment.scheduler.after(delayMs, () => {
      this.#pauses.delete(key)
      run()
    })
    this.#pauses.set(key, { timer, dueMs })
  }
}
