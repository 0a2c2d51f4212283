import type { EffectLog } from './effect-log.ts'
import { waitInRealTime } from './real-time-adapter.ts'
import { turn } from './turn-adapter.ts'
import type { VirtualTime } from './virtual-time.ts'

/** An effect that waits for something real, such as a socket, holds virtual time back for so long. */
const patienceMs = 100
const hourMs = 3_600_000

/**
 * Has virtual time pass while somebody waits for the database. There is one time, so whoever waits at once waits together.
 */
export class Pump {
  readonly #time: VirtualTime
  readonly #effects: EffectLog
  /** Of those who wait. */
  readonly #waiting = new Set<() => boolean>()
  /** Time passes up to here. */
  #targetMs = 0
  #running: Promise<void> | null = null
  #failure: Error | null = null
  /** Somebody began to wait. */
  #joined = Promise.withResolvers<void>()

  constructor(time: VirtualTime, effects: EffectLog) {
    this.#time = time
    this.#effects = effects
  }

  /** The database itself is broken: whoever waits hears of it. */
  fail(error: Error): void {
    this.#failure ??= error
  }

  /** Has time pass until the promise settles. */
  async until<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.#wait(() => isSettled)
    return promise
  }

  /** Has time pass until so. */
  untilTrue(isOver: () => boolean): Promise<void> {
    return this.#wait(isOver)
  }

  /** Has so much time pass, and all that is due in it happen. */
  async pass(durationMs: number): Promise<void> {
    const untilMs = Math.max(this.#time.nowMs, this.#targetMs) + durationMs
    this.#targetMs = untilMs
    await this.#wait(() => this.#time.nowMs >= untilMs)
  }

  async #wait(isOver: () => boolean): Promise<void> {
    this.#waiting.add(isOver)
    this.#joined.resolve()
    try {
      while (this.#failure === null && !isOver()) {
        this.#running ??= this.#run()
        await this.#running
      }
    } finally {
      this.#waiting.delete(isOver)
    }
    if (this.#failure !== null) throw this.#failure
  }

  /** Until one of those who wait need wait no longer. */
  async #run(): Promise<void> {
    const isOver = (): boolean => this.#failure !== null || [...this.#waiting].some((isDone) => isDone())
    try {
      for (;;) {
        const { nowMs } = this.#time
        const untilMs = this.#targetMs > nowMs ? this.#targetMs : nowMs + hourMs
        await this.#time.run(untilMs, () => isOver() || this.#effects.fresh.length > 0)
        if (isOver()) return
        if (this.#effects.fresh.length > 0) await this.#beLenient()
      }
    } finally {
      this.#running = null
    }
  }

  /** Effects of an application are real promises: they get a moment of real time before virtual time goes on. */
  async #beLenient(): Promise<void> {
    this.#joined = Promise.withResolvers<void>()
    await waitInRealTime(this.#effects.fresh, this.#joined.promise, patienceMs)
    this.#effects.waited()
    await turn()
  }
}
