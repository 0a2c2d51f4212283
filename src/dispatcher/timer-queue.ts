import type { Clock } from '../kernel/environment.ts'
import { Heap } from '../kernel/heap.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { StoredTimer, TimerKeeper, TimerPlace } from '../workflows/workflow-timers.ts'
import { ClockEras } from './clock-eras.ts'
import { type HeldTimer, isDueBefore } from './held-timer.ts'
import { comparePlaces, nameOf } from './timer-place.ts'
import { UnstoredTimers } from './unstored-timers.ts'

export type { StoredTimer, TimerPlace } from '../workflows/workflow-timers.ts'

export interface TimerQueueOptions {
  readonly clock: Clock
  /** The timers in the store behind a place, or with null from the first one on, in their order. */
  readonly read: (after: TimerPlace | null, limit: number) => readonly StoredTimer[]
  /** Timers that are held in memory; with more the later half goes. */
  readonly heldMax: number
  /** Timers that are read at once. */
  readonly readMax: number
}

/** Up to where timers are in memory: nothing, a place in the store, everything. */
type Horizon = 'nothing' | TimerPlace | 'everything'

/**
 * The timers of all workflows, in the order in which they are due. The next ones are in memory, up to a number; those
 * behind them are in the store alone, and are read when their turn comes.
 *
 * I1. A timer is measured by the monotonic clock from when it was started: the wall clock may jump. One for a time of the
 *     wall clock follows it.
 * I2. Every timer that is not removed is in memory, or behind the horizon and in the store or among the unstored.
 */
export class TimerQueue implements TimerKeeper {
  readonly #o: TimerQueueOptions
  readonly #eras: ClockEras
  readonly #heap = new Heap(isDueBefore)
  readonly #byName = new Map<string, HeldTimer>()
  readonly #unstored: UnstoredTimers
  #horizon: Horizon = 'nothing'
  #storeApplied: Lsn = lsn(0)
  #seen: Lsn = lsn(0)
  #number = 0

  constructor(options: TimerQueueOptions) {
    this.#o = options
    this.#eras = new ClockEras(options.clock)
    this.#unstored = new UnstoredTimers(options.heldMax)
  }

  /** Timers in memory. */
  get held(): number {
    return this.#byName.size
  }

  /** A timer was started by an entry, at `startedAtMs` of the wall clock. */
  add(timer: StoredTimer, startedAtMs: number): void {
    // Before it counts as seen: a jump that was not noticed yet came before it was started.
    this.lookAtClock()
    this.#seen = timer.startedLsn
    if (this.#isBehind(timer)) {
      this.#pass(timer)
      return
    }
    const { dueMs, isAbsolute } = timer
    this.#put(timer, isAbsolute ? dueMs - this.#eras.offsetMs : this.#eras.endOf(startedAtMs, dueMs))
    if (this.#byName.size > this.#o.heldMax) this.#evict()
  }

  /** Fired, cancelled, or nobody's any more, by the entry `at`. */
  remove(place: TimerPlace, at: Lsn): void {
    this.#seen = at
    const name = nameOf(place)
    const held = this.#byName.get(name)
    if (held !== undefined) {
      held.state = 'removed'
      this.#byName.delete(name)
    }
    // There it may still be read.
    if (at > this.#storeApplied) this.#unstored.removed(place, at)
  }

  /** What was fired may not have come through: it fires again. */
  restart(): void {
    for (const timer of this.#byName.values()) {
      if (timer.state !== 'fired') continue
      timer.state = 'waiting'
      this.#heap.push(timer)
    }
  }

  storeApplied(mark: Lsn): void {
    this.#storeApplied = mark
    this.#unstored.applied(mark)
  }

  /** It is time to read on in the store. Not while most of what was read has fired and is still there. */
  get isShort(): boolean {
    const horizon = this.#horizon
    if (horizon === 'everything' || this.held > this.#o.heldMax / 2) return false
    if (!this.#unstored.mayRead(this.#storeApplied)) return false
    if (horizon === 'nothing' || this.#heap.length === 0) return true
    return this.#o.clock.monotonicMs() + this.#eras.largestOffsetMs >= horizon.dueMs
  }

  /** Reads what comes next out of the store, if it is time. No more than a portion; the next one where it still `isShort`. */
  refill(): void {
    if (!this.isShort || this.#horizon === 'everything') return
    const { read, readMax } = this.#o
    const rows = read(this.#horizon === 'nothing' ? null : this.#horizon, readMax)
    const last = rows.length < readMax ? null : (rows.at(-1) as StoredTimer)
    this.#horizon = last ?? 'everything'
    for (const timer of rows) if (!this.#unstored.isRemoved(timer)) this.#putStored(timer)
    for (const timer of this.#unstored.take(last)) this.#putStored(timer)
    if (this.#byName.size > this.#o.heldMax) this.#evict()
  }

  /** Follows the wall clock where it has jumped (I1). */
  lookAtClock(): void {
    if (!this.#eras.look(this.#seen)) return
    for (const timer of this.#heap.takeAll()) {
      if (timer.state !== 'waiting') continue
      if (timer.isAbsolute) timer.at = timer.dueMs - this.#eras.offsetMs
      this.#heap.push(timer)
    }
  }

  /** The next timer that is due now, or null. It counts as fired until it is removed. */
  takeDue(): TimerPlace | null {
    const nowMs = this.#o.clock.monotonicMs()
    for (let first = this.#heap.first(); first !== undefined && first.at <= nowMs; first = this.#heap.first()) {
      this.#heap.pop()
      if (first.state !== 'waiting') continue
      first.state = 'fired'
      return first
    }
    return null
  }

  /** Milliseconds until something is to be done, or null when there is nothing to wait for. */
  waitMs(): number | null {
    if (this.isShort) return 0
    while (this.#heap.first()?.state === 'removed') this.#heap.pop()
    const first = this.#heap.first()
    return first === undefined ? null : Math.max(0, first.at - this.#o.clock.monotonicMs())
  }

  #isBehind(timer: TimerPlace): boolean {
    if (this.#horizon === 'everything') return false
    return this.#horizon === 'nothing' || comparePlaces(timer, this.#horizon) > 0
  }

  /** Not held: the store has it, or will have it. */
  #pass(timer: StoredTimer): void {
    if (timer.startedLsn > this.#storeApplied) this.#unstored.started(timer)
  }

  #putStored(timer: StoredTimer): void {
    const { dueMs, isAbsolute, startedLsn } = timer
    this.#put(timer, isAbsolute ? dueMs - this.#eras.offsetMs : this.#eras.monotonicOf(dueMs, startedLsn))
  }

  #put({ key, operation, dueMs, isAbsolute, startedLsn }: StoredTimer, at: number): void {
    const number = ++this.#number
    const timer: HeldTimer = { key, operation, dueMs, isAbsolute, startedLsn, at, number, state: 'waiting' }
    const name = nameOf(timer)
    if (this.#byName.has(name)) return
    this.#byName.set(name, timer)
    this.#heap.push(timer)
  }

  /** The later half of those that wait goes. */
  #evict(): void {
    const waiting = this.#heap.takeAll().filter(({ state }) => state === 'waiting')
    waiting.sort(comparePlaces)
    const kept = Math.min(waiting.length - 1, this.#o.heldMax >>> 1)
    if (kept < 1) {
      for (const timer of waiting) this.#heap.push(timer)
      return
    }
    const [last] = waiting.slice(kept - 1, kept) as [HeldTimer]
    this.#horizon = { dueMs: last.dueMs, key: last.key, operation: last.operation }
    for (const timer of waiting.slice(0, kept)) this.#heap.push(timer)
    for (const timer of waiting.slice(kept)) {
      timer.state = 'removed'
      this.#byName.delete(nameOf(timer))
      this.#pass(timer)
    }
  }
}
