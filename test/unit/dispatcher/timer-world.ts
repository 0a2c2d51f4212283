import { comparePlaces } from '../../../src/dispatcher/timer-place.ts'
import { type StoredTimer, type TimerPlace, TimerQueue } from '../../../src/dispatcher/timer-queue.ts'
import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'

/** A queue of timers with its two clocks, and a store that shows what it has applied. */
export class TimerWorld {
  monotonicMs = 0
  /** Wall minus monotonic time: a jump of the wall clock changes it. */
  offsetMs = 1_000_000
  queue: TimerQueue
  /** By how many entries the store is behind while time passes. */
  lag = 5
  /** The entry that came last. */
  lsn: Lsn = lsn(0)
  readonly #heldMax: number
  readonly #readMax: number
  /** By entry, what it changes in the store. */
  #unapplied: { readonly at: Lsn; readonly change: () => void }[] = []
  stored: StoredTimer[] = []
  /** Rows that were read, portion by portion. */
  readonly portions: number[] = []

  constructor(heldMax = 100, readMax = 10) {
    this.#heldMax = heldMax
    this.#readMax = readMax
    this.queue = this.#open()
  }

  get wallMs(): number {
    return this.monotonicMs + this.offsetMs
  }

  /** Another process, which knows what is in the store and in the journal behind it. */
  restart(): void {
    this.queue = this.#open()
    this.queue.storeApplied(this.lsn)
  }

  sleep(operation: string, ms: number, startedAtMs = this.wallMs): StoredTimer {
    return this.start({ key: 'workflow:w/1', operation, dueMs: startedAtMs + ms, isAbsolute: false }, startedAtMs)
  }

  sleepUntil(operation: string, dueMs: number): StoredTimer {
    return this.start({ key: 'workflow:w/1', operation, dueMs, isAbsolute: true }, this.wallMs)
  }

  start(timer: Omit<StoredTimer, 'startedLsn'>, startedAtMs: number): StoredTimer {
    const started = { ...timer, startedLsn: this.#next() }
    this.#unapplied.push({ at: this.lsn, change: () => this.stored.push(started) })
    this.queue.add(started, startedAtMs)
    return started
  }

  remove(place: TimerPlace): void {
    const at = this.#next()
    const isOther = (timer: StoredTimer): boolean => comparePlaces(timer, place) !== 0
    this.#unapplied.push({ at, change: () => (this.stored = this.stored.filter(isOther)) })
    this.queue.remove(place, at)
  }

  /** The store applies the journal up to an entry. */
  apply(upTo: Lsn = this.lsn): void {
    for (const { change } of this.#unapplied.filter(({ at }) => at <= upTo)) change()
    this.#unapplied = this.#unapplied.filter(({ at }) => at > upTo)
    this.stored.sort(comparePlaces)
    this.queue.storeApplied(upTo)
  }

  /** What fires up to a moment, and when; each is removed as its workflow's entry does. */
  run(untilMs: number): [operation: string, atMs: number][] {
    const fired: [string, number][] = []
    for (;;) {
      this.queue.lookAtClock()
      if (this.lsn > this.lag) this.apply(lsn(this.lsn - this.lag))
      this.queue.refill()
      for (let timer = this.queue.takeDue(); timer !== null; timer = this.queue.takeDue()) {
        fired.push([timer.operation, this.monotonicMs])
        this.remove(timer)
      }
      const waitMs = Math.min(this.queue.waitMs() ?? 1_000, 1_000)
      if (this.monotonicMs + waitMs > untilMs) break
      this.monotonicMs += waitMs
    }
    this.monotonicMs = untilMs
    return fired
  }

  #next(): Lsn {
    this.lsn = lsn(this.lsn + 1)
    return this.lsn
  }

  #open(): TimerQueue {
    return new TimerQueue({
      clock: { wallMs: () => this.wallMs, monotonicMs: () => this.monotonicMs },
      heldMax: this.#heldMax,
      readMax: this.#readMax,
      read: (after, limit) => {
        const rows = this.stored.filter((timer) => after === null || comparePlaces(timer, after) > 0).slice(0, limit)
        this.portions.push(rows.length)
        return rows
      },
    })
  }
}
