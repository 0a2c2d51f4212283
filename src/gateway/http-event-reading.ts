import type { Environment } from '../kernel/environment.ts'
import { lastPosition } from '../tables/event-log.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpQueries } from './http-route.ts'
import type { ReadEvent } from './queries.ts'

/** go: more, please. pause: not before `resume`. stop: that is all. */
export type Appetite = 'go' | 'pause' | 'stop'

/** Takes what is read. */
export interface EventSink {
  /** Called first; `resume` ends a pause. */
  begin(resume: () => void): void
  /** Events of one block; none when the types asked for are not in it. `bytes` as stored. */
  take(events: readonly ReadEvent[], bytes: number): Appetite
  /** @param next position to go on after */
  end(next: number): void
  fail(error: unknown): void
}

export interface ReadingOptions {
  readonly after: number
  readonly types: ReadonlySet<string> | null
  /** Events at most. */
  readonly limit: number
  /** Does not end where the store ends: `resume` goes on. */
  readonly follows: boolean
}

/**
 * Reads the event log for one request, a few blocks a turn: other requests have theirs in between, and no more is in
 * memory than its reader has taken.
 */
export class EventReading {
  readonly #environment: Environment
  readonly #queries: HttpQueries
  readonly #options: ReadingOptions
  readonly #sink: EventSink
  #after: number
  #left: number
  #isScheduled = false
  #isEnded = false
  readonly #turnDue: () => void

  constructor(environment: Environment, queries: HttpQueries, options: ReadingOptions, sink: EventSink) {
    this.#environment = environment
    this.#queries = queries
    this.#options = options
    this.#sink = sink
    this.#after = options.after
    this.#left = options.limit
    this.#turnDue = () => {
      this.#isScheduled = false
      this.#turn()
    }
    sink.begin(() => this.resume())
  }

  /** Position of the last event that was looked at. */
  get position(): number {
    return this.#after
  }

  /** The first turn, the reader takes more again, or the store has more. */
  resume(): void {
    if (this.#isScheduled || this.#isEnded) return
    this.#isScheduled = true
    this.#environment.scheduler.soon(this.#turnDue)
  }

  /** Nobody reads any more. */
  abandon(): void {
    this.#isEnded = true
  }

  #turn(): void {
    if (this.#isEnded) return
    try {
      this.#read()
    } catch (error) {
      this.#isEnded = true
      this.#sink.fail(error)
    }
  }

  #read(): void {
    let bytes = 0
    for (const block of this.#queries.log.blocksFrom(this.#after + 1)) {
      const last = lastPosition(block)
      if (last <= this.#after) continue
      const events = this.#wanted(this.#queries.blockEvents(block))
      this.#left -= events.length
      this.#after = this.#left === 0 ? (events.at(-1) as ReadEvent).globalPosition : last
      const appetite = this.#sink.take(events, block.entries.length)
      if (appetite === 'stop' || this.#left === 0) return this.#end()
      if (appetite === 'pause') return
      bytes += block.entries.length
      if (bytes >= httpLimits.turnBytes) return this.resume()
    }
    if (!this.#options.follows) this.#end()
  }

  #wanted(events: readonly ReadEvent[]): ReadEvent[] {
    const { types } = this.#options
    const wanted: ReadEvent[] = []
    for (const event of events) {
      if (wanted.length === this.#left) break
      if (event.globalPosition > this.#after && (types === null || types.has(event.type))) wanted.push(event)
    }
    return wanted
  }

  #end(): void {
    this.#isEnded = true
    this.#sink.end(this.#after)
  }
}
