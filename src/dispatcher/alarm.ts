import type { Environment, Timer } from '../kernel/environment.ts'

/** Rings once, at the earliest of the times that it was set to. */
export class Alarm {
  readonly #environment: Pick<Environment, 'clock' | 'scheduler'>
  readonly #ring: () => void
  #timer: Timer | null = null
  #atMs = 0

  constructor(environment: Pick<Environment, 'clock' | 'scheduler'>, ring: () => void) {
    this.#environment = environment
    this.#ring = ring
  }

  /** @param atMs by the monotonic clock; a time that is over is now */
  set(atMs: number): void {
    if (this.#timer !== null && this.#atMs <= atMs) return
    this.#timer?.cancel()
    this.#atMs = atMs
    const { clock, scheduler } = this.#environment
    this.#timer = scheduler.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      this.#timer = null
      this.#ring()
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
