import type { Scheduler } from '../kernel/environment.ts'
import type { Work } from './live-aggregates.ts'

/** Commands decided before the event loop is given back. */
const sliceMax = 1024

export interface WorkQueueOptions {
  readonly scheduler: Scheduler
  /** Whether something may be decided now. */
  readonly isOpen: () => boolean
  readonly take: (work: Work) => void
  /** After each slice. */
  readonly taken: () => void
}

/** Commands that were started here, in the order in which they were: decided a slice at a time. */
export class WorkQueue {
  readonly #o: WorkQueueOptions
  #work: Work[] = []
  #isScheduled = false

  constructor(options: WorkQueueOptions) {
    this.#o = options
  }

  push(work: Work): void {
    this.#work.push(work)
  }

  clear(): void {
    this.#work = []
  }

  run(): void {
    if (!this.#o.isOpen()) return
    const work = this.#work
    const slice = Math.min(work.length, sliceMax)
    for (let i = 0; i < slice; i++) this.#o.take(work[i] as Work)
    this.#work = slice === work.length ? [] : work.slice(slice)
    this.#o.taken()
    if (this.#work.length > 0) this.#runSoon()
  }

  #runSoon(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#o.scheduler.soon(() => {
      this.#isScheduled = false
      this.run()
    })
  }
}
