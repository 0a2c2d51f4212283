import type { Scheduler, Timer } from '../kernel/environment.ts'

/**
 * The timers of a client that nobody waits for: they rest until somebody does. A client looks after its calls four
 * times a second; with no call under way that would be all that happens in a month of virtual time.
 */
export class IdleScheduler implements Scheduler {
  readonly #inner: Scheduler
  readonly #resting = new Set<() => void>()
  #calls = 0

  constructor(inner: Scheduler) {
    this.#inner = inner
  }

  begin(): void {
    this.#calls++
    const resting = [...this.#resting]
    this.#resting.clear()
    for (const run of resting) this.#inner.soon(run)
  }

  end(): void {
    this.#calls--
  }

  after(delayMs: number, run: () => void): Timer {
    const once = (): void => {
      this.#resting.delete(once)
      if (!isCancelled) run()
    }
    let isCancelled = false
    const timer = this.#inner.after(delayMs, () => {
      if (this.#calls > 0) once()
      else this.#resting.add(once)
    })
    return {
      cancel: () => {
        isCancelled = true
        this.#resting.delete(once)
        timer.cancel()
      },
    }
  }

  soon(run: () => void): void {
    this.#inner.soon(run)
  }
}
