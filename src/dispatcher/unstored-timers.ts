import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { StoredTimer, TimerPlace } from '../workflows/workflow-timers.ts'
import { comparePlaces, nameOf } from './timer-place.ts'

/**
 * What the store does not show yet of the timers that are not in memory: those that were started, and those that were
 * removed. Where it is more than a number, reading waits for the store instead.
 */
export class UnstoredTimers {
  readonly #max: number
  readonly #started = new Map<string, StoredTimer>()
  readonly #removed = new Map<string, Lsn>()
  /** The store is not to be read before it has applied this. */
  #needed: Lsn = lsn(0)

  constructor(max: number) {
    this.#max = max
  }

  started(timer: StoredTimer): void {
    this.#started.set(nameOf(timer), timer)
    this.#removed.delete(nameOf(timer))
    if (this.#started.size > this.#max) this.#forget()
  }

  removed(place: TimerPlace, at: Lsn): void {
    this.#started.delete(nameOf(place))
    this.#removed.set(nameOf(place), at)
    if (this.#removed.size > this.#max) this.#forget()
  }

  /** The store has applied this much. */
  applied(mark: Lsn): void {
    for (const [name, { startedLsn }] of this.#started) if (startedLsn <= mark) this.#started.delete(name)
    for (const [name, at] of this.#removed) if (at <= mark) this.#removed.delete(name)
  }

  mayRead(storeApplied: Lsn): boolean {
    return storeApplied >= this.#needed
  }

  isRemoved(place: TimerPlace): boolean {
    return this.#removed.has(nameOf(place))
  }

  /** Those that stand up to a place, which are then in memory; null: all. */
  take(upTo: TimerPlace | null): StoredTimer[] {
    const taken = [...this.#started.values()].filter((timer) => upTo === null || comparePlaces(timer, upTo) <= 0)
    for (const timer of taken) this.#started.delete(nameOf(timer))
    return taken
  }

  #forget(): void {
    for (const { startedLsn } of this.#started.values()) this.#need(startedLsn)
    for (const at of this.#removed.values()) this.#need(at)
    this.#started.clear()
    this.#removed.clear()
  }

  #need(at: Lsn): void {
    if (at > this.#needed) this.#needed = at
  }
}
