import type { Environment, Timer } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { PendingCommand } from '../state/commands.ts'

/** The longest pause that a definition may ask for. */
const retryDelayMsMax = 3_600_000

/**
 * How long failed commands have to wait yet. Where the failure was seen, by the monotonic clock: the wall clock may jump.
 * What is only known from a state of before falls back on it.
 */
export class Retries {
  readonly #environment: Environment
  readonly #dueMs = new Map<Lsn, number>()
  /** By aggregate key. */
  readonly #timers = new Map<string, Timer>()

  constructor(environment: Environment) {
    this.#environment = environment
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  failed({ lsn, retryAtMs }: PendingCommand, atMs: number): void {
    this.#dueMs.set(lsn, this.#environment.clock.monotonicMs() + retryAtMs - atMs)
  }

  ended(command: Lsn): void {
    if (this.#dueMs.size > 0) this.#dueMs.delete(command)
  }

  /** 0 or less: not at all. */
  waitMs({ lsn, retryAtMs }: PendingCommand): number {
    if (retryAtMs === 0) return 0
    const dueMs = this.#dueMs.get(lsn)
    if (dueMs !== undefined) return dueMs - this.#environment.clock.monotonicMs()
    return Math.min(retryAtMs - this.#environment.clock.wallMs(), retryDelayMsMax)
  }

  /** Calls `run` after a while; of several for one aggregate the first counts, which is that of its first command. */
  later(key: string, delayMs: number, run: () => void): void {
    if (this.#timers.has(key)) return
    const timer = this.#environment.scheduler.after(delayMs, () => {
      this.#timers.delete(key)
      run()
    })
    this.#timers.set(key, timer)
  }
}
