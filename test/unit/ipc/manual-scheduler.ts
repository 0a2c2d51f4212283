import type { Scheduler, Timer } from '../../../src/kernel/environment.ts'

/** Virtual time: nothing happens until it is told to. */
export class ManualScheduler implements Scheduler {
  nowMs = 0
  #turns: (() => void)[] = []
  #timers: { readonly dueMs: number; readonly run: () => void }[] = []

  /** Calls that wait for the next turn. */
  get pendingTurns(): number {
    return this.#turns.length
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { dueMs: this.nowMs + delayMs, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  soon(run: () => void): void {
    this.#turns.push(run)
  }

  /** Runs turns until none is left, without letting time pass. */
  settle(): void {
    while (this.#turns.length > 0) this.turn()
  }

  /** Runs what waits for the next turn now, and not what that asks for. */
  turn(): void {
    const turns = this.#turns
    this.#turns = []
    for (const run of turns) run()
  }

  advance(byMs: number): void {
    const untilMs = this.nowMs + byMs
    this.settle()
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.splice(this.#timers.indexOf(next), 1)
      this.nowMs = next.dueMs
      next.run()
      this.settle()
    }
    this.nowMs = untilMs
  }

  #next(untilMs: number): { readonly dueMs: number; readonly run: () => void } | undefined {
    return this.#timers.filter((timer) => timer.dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0]
  }
}
