import type { Clock } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'

export interface Timer {
  /** Aggregate key of the workflow. */
  readonly key: string
  readonly operation: string
  /** Wall time, in milliseconds. */
  readonly dueMs: number
  readonly isAbsolute: boolean
}

interface Entry extends Timer {
  /** By the monotonic clock. */
  at: number
  /** Among those that are due at the same time: the order in which they came. */
  readonly number: number
  state: 'waiting' | 'fired' | 'cancelled'
}

export interface TimerQueueOptions {
  readonly clock: Clock
  /** The timers in the store that are due first. */
  readonly read: (limit: number) => readonly Timer[]
  /** Timers that are held in memory. */
  readonly heldMax: number
}

/** A jump of the wall clock of more than this is one. */
const jumpMs = 1_000

/**
 * The timers of all workflows, in the order in which they are due. The next ones are in memory, up to a number; those
 * behind them are in the store alone, and are read when their turn comes.
 *
 * I1. A timer is measured by the monotonic clock from when it was seen: the wall clock may jump. One for a time of the wall
 *     clock follows it.
 * I2. Every timer is either in memory or behind the horizon and in the store: the store is read only when it has applied
 *     all timers that were passed over. While it is waited for, none is passed over: or it would be waited for without end.
 * I3. What is over does not come back from a store that has not heard of it yet.
 */
export class TimerQueue {
  readonly #o: TimerQueueOptions
  readonly #heap: Entry[] = []
  readonly #byName = new Map<string, Entry>()
  /** Timers that are due later than this are not in memory. */
  #horizonMs = Number.NEGATIVE_INFINITY
  /** The newest entry with a timer behind the horizon. */
  #passedOver: Lsn = lsn(0)
  #isWaiting = false
  /** By name, and the entry that ended each: what the store may still show. The oldest first. */
  readonly #over = new Map<string, Lsn>()
  #number = 0
  /** Wall minus monotonic time, as it was last seen. */
  #offsetMs: number

  constructor(options: TimerQueueOptions) {
    this.#o = options
    this.#offsetMs = this.#offset()
  }

  /** Timers in memory. */
  get held(): number {
    return this.#byName.size
  }

  /** A timer was started by the entry `at`, at `startedAtMs` of the wall clock. */
  add(timer: Timer, startedAtMs: number, at: Lsn): void {
    if (timer.dueMs > this.#horizonMs && !this.#isWaiting) {
      this.#passedOver = at
      return
    }
    const nowMs = this.#o.clock.monotonicMs()
    this.#put(timer, timer.isAbsolute ? timer.dueMs - this.#offset() : nowMs + timer.dueMs - startedAtMs)
  }

  /** Fired, cancelled, or nobody's any more, by the entry `at`. */
  remove(key: string, operation: string, at: Lsn): void {
    const name = nameOf(key, operation)
    this.#over.delete(name)
    if (this.#horizonMs !== Number.POSITIVE_INFINITY) this.#over.set(name, at)
    const entry = this.#byName.get(name)
    if (entry === undefined) return
    entry.state = 'cancelled'
    this.#byName.delete(name)
  }

  /** What was fired may not have come through: it fires again. */
  restart(): void {
    for (const entry of this.#byName.values()) {
      if (entry.state !== 'fired') continue
      entry.state = 'waiting'
      this.#push(entry)
    }
  }

  /** It is time to read on in the store. Not while most of what was read has fired and is still there. */
  get isShort(): boolean {
    if (this.#horizonMs === Number.POSITIVE_INFINITY || this.held > this.#o.heldMax / 2) return false
    return this.#heap.length === 0 || this.#o.clock.monotonicMs() + this.#offsetMs >= this.#horizonMs
  }

  /** The store knows of everything up to here. */
  storeApplied(mark: Lsn): void {
    for (const [name, at] of this.#over) {
      if (at > mark) return
      this.#over.delete(name)
    }
  }

  /** Reads what comes next out of the store, if it is time and the store has it (I2). */
  refill(storeApplied: Lsn): void {
    if (!this.isShort) return
    this.#isWaiting = storeApplied < this.#passedOver
    if (this.#isWaiting) return
    this.storeApplied(storeApplied)
    const read = this.#o.read(this.#o.heldMax)
    for (const timer of read)
      if (!this.#over.has(nameOf(timer.key, timer.operation))) this.#put(timer, timer.dueMs - this.#offset())
    this.#horizonMs = read.length < this.#o.heldMax ? Number.POSITIVE_INFINITY : (read.at(-1)?.dueMs ?? 0)
  }

  /** Follows the wall clock where it has jumped (I1). */
  lookAtClock(): void {
    const offsetMs = this.#offset()
    if (Math.abs(offsetMs - this.#offsetMs) <= jumpMs) return
    this.#offsetMs = offsetMs
    const entries = this.#heap.splice(0)
    for (const entry of entries) {
      if (entry.isAbsolute) entry.at = entry.dueMs - offsetMs
      this.#push(entry)
    }
  }

  /** The next timer that is due now, or null. It counts as fired until it is removed. */
  takeDue(): Timer | null {
    const nowMs = this.#o.clock.monotonicMs()
    for (let first = this.#heap[0]; first !== undefined && first.at <= nowMs; first = this.#heap[0]) {
      this.#pop()
      if (first.state !== 'waiting') continue
      first.state = 'fired'
      return first
    }
    return null
  }

  /** Milliseconds until the next one is due, or null when none is in memory. */
  waitMs(): number | null {
    while (this.#heap[0]?.state === 'cancelled') this.#pop()
    const first = this.#heap[0]
    return first === undefined ? null : Math.max(0, first.at - this.#o.clock.monotonicMs())
  }

  #offset(): number {
    return this.#o.clock.wallMs() - this.#o.clock.monotonicMs()
  }

  #put(timer: Timer, at: number): void {
    const name = nameOf(timer.key, timer.operation)
    if (this.#byName.has(name)) return
    const entry: Entry = { ...timer, at, number: ++this.#number, state: 'waiting' }
    this.#byName.set(name, entry)
    this.#push(entry)
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (isBefore(heap[parent] as Entry, entry)) break
      heap[at] = heap[parent] as Entry
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++
      if (isBefore(last, heap[child] as Entry)) break
      heap[at] = heap[child] as Entry
      at = child
    }
    heap[at] = last
  }
}

const nameOf = (key: string, operation: string): string => `${key}\n${operation}`

const isBefore = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.number < b.number)
