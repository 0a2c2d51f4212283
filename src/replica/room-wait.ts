import type { Environment, Timer } from '../kernel/environment.ts'
import { limits } from '../kernel/limits.ts'

/**
 * After a draft was refused for want of room nothing is drafted until the journal writer says that there is some. Where
 * nobody else tries, as on a full disk, it cannot know: so one try is made after a while, which doubles up to a bound.
 */
export class RoomWait {
  readonly #environment: Environment
  readonly #over: () => void
  #timer: Timer | null = null
  #delayMs = 0

  /** @param over drafts may be sent again. */
  constructor(environment: Environment, over: () => void) {
    this.#environment = environment
    this.#over = over
  }

  get isOn(): boolean {
    return this.#timer !== null
  }

  refused(): void {
    if (this.#timer !== null) return
    const { log, scheduler } = this.#environment
    if (this.#delayMs === 0)
      log.warn({ code: 'journal_full' }, 'the journal has no room: what is drafted here waits for it')
    this.#delayMs = Math.min(limits.roomWaitMsMax, this.#delayMs === 0 ? limits.roomWaitMsMin : this.#delayMs * 2)
    this.#timer = scheduler.after(this.#delayMs, () => {
      this.#timer = null
      this.#over()
    })
  }

  /** The writer says that there is room. */
  end(): void {
    const wasOn = this.isOn
    this.reset()
    if (wasOn) this.#over()
  }

  /** Nothing is known of the next writer. */
  reset(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#delayMs = 0
  }
}
