import type { Clock } from '../kernel/environment.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** A difference between the clocks that has changed by more than this is a jump of the wall clock. */
const jumpMs = 25
const erasMax = 32

interface Era {
  /** Entries behind this one are of this era, up to the next one's. */
  readonly after: Lsn
  /** The wall time at which it was seen to begin. */
  readonly fromMs: number
  /** Wall minus monotonic time. */
  readonly offsetMs: number
}

/**
 * What the wall clock showed, by the monotonic one: from one jump of the wall clock to the next is an era. A time that was
 * written down is meant as the clock of its own era showed it.
 *
 * Eras of before this process are not known: it takes the wall clock at its word for all that was started before. Entries do
 * say wall times, but a clock that was set forward cannot be told by them from time that has passed, and of one that lies behind
 * them nobody can tell since when it was ahead: to go by them would let older timers fire early.
 */
export class ClockEras {
  readonly #clock: Clock
  readonly #eras: Era[]

  constructor(clock: Clock) {
    this.#clock = clock
    this.#eras = [{ after: lsn(0), fromMs: Number.NEGATIVE_INFINITY, offsetMs: this.#offset() }]
  }

  /** @param seen the newest entry that was seen. @returns whether the wall clock has jumped. */
  look(seen: Lsn): boolean {
    const offsetMs = this.#offset()
    if (Math.abs(offsetMs - this.#current.offsetMs) <= jumpMs) return false
    this.#eras.push({ after: seen, fromMs: this.#clock.wallMs(), offsetMs })
    // The oldest two become one.
    if (this.#eras.length > erasMax) this.#eras.shift()
    return true
  }

  get offsetMs(): number {
    return this.#current.offsetMs
  }

  /** Of the eras that are known the one in which the wall clock was furthest ahead. */
  get largestOffsetMs(): number {
    return Math.max(...this.#eras.map(({ offsetMs }) => offsetMs))
  }

  /** When a time is, by the monotonic clock, that the entry `at` wrote down. */
  monotonicOf(wallMs: number, at: Lsn): number {
    const era = this.#eras.findLast(({ after }) => at > after) ?? (this.#eras[0] as Era)
    return wallMs - era.offsetMs
  }

  /** When something ends that began at `startedMs` of the wall clock, in an entry that is seen now. */
  endOf(startedMs: number, endMs: number): number {
    const isOfThisEra = startedMs >= this.#current.fromMs && startedMs <= this.#clock.wallMs() + jumpMs
    return isOfThisEra ? endMs - this.#current.offsetMs : this.#clock.monotonicMs() + endMs - startedMs
  }

  get #current(): Era {
    return this.#eras.at(-1) as Era
  }

  #offset(): number {
    return this.#clock.wallMs() - this.#clock.monotonicMs()
  }
}
