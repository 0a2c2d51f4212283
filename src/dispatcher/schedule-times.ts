import { parseCron } from '../kernel/cron.ts'
import { limits } from '../kernel/limits.ts'
import type { ScheduleState } from '../state/schedules.ts'

/** Which time of a schedule is the next one to fire. */
export class ScheduleTimes {
  readonly #pattern: ReturnType<typeof parseCron>
  readonly #catchUp: ScheduleState['form']['catchUp']
  readonly identity: string
  #after: number | null = null
  #next: number | null = null
  /** While missed times are made up for: the first of them. */
  #from: number | null = null

  constructor({ cron, timezone, catchUp }: ScheduleState['form']) {
    this.#pattern = parseCron(cron, timezone)
    this.#catchUp = catchUp
    this.identity = identityOf({ cron, timezone, catchUp })
  }

  /** @returns when the next one is due, in the past where it is late, and null when there is none */
  next({ lastMs }: Pick<ScheduleState, 'lastMs'>, nowMs: number): number | null {
    const next = this.#nextAfter(lastMs)
    const soonest = nowMs - limits.scheduleGraceMs
    if (next === null || next >= soonest) {
      this.#from = null
      return next
    }
    switch (this.#catchUp) {
      case 'all':
        this.#from ??= this.#pattern.previous(nowMs, limits.scheduledTimesMax)[0] ?? next
        return Math.max(next, this.#from)
      case 'latest':
        return this.#pattern.previous(nowMs, 1)[0] ?? next
      default:
        return this.#pattern.next(soonest - 1)
    }
  }

  #nextAfter(lastMs: number): number | null {
    if (this.#after !== lastMs) {
      this.#next = this.#pattern.next(lastMs)
      this.#after = lastMs
    }
    return this.#next
  }
}

export const identityOf = ({ cron, timezone, catchUp }: Pick<ScheduleState['form'], 'cron' | 'timezone' | 'catchUp'>) =>
  `${catchUp} ${timezone} ${cron}`
