import type { Environment, LogFields } from './environment.ts'
import { limits } from './limits.ts'

/** Warnings of which there may be thousands at once: some are logged, and then once for a while that there are more. */
export class BoundedWarnings {
  readonly #environment: Pick<Environment, 'clock' | 'log'>
  readonly #rest: string
  #sinceMs = Number.NEGATIVE_INFINITY
  #logged = 0

  /** @param rest said instead of what is left out: where to see it */
  constructor(environment: Pick<Environment, 'clock' | 'log'>, rest: string) {
    this.#environment = environment
    this.#rest = rest
  }

  warn(fields: LogFields, message: string): void {
    const { clock, log } = this.#environment
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#sinceMs >= limits.warningsPeriodMs) {
      this.#sinceMs = nowMs
      this.#logged = 0
    }
    if (this.#logged > limits.warningsPerPeriodMax) return
    this.#logged++
    if (this.#logged <= limits.warningsPerPeriodMax) log.warn(fields, message)
    else log.warn({ periodMs: limits.warningsPeriodMs }, this.#rest)
  }
}
