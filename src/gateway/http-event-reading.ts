import type { Environment } from '../kernel/environment.ts'
import { type ArchivedStreams, isArchivedElsewhere } from '../tables/archived-streams.ts'
import type { EventSource } from './http-event-sources.ts'
import type { EventText } from './http-event-texts.ts'
import { httpLimits } from './http-limits.ts'

/** Takes what is read, as fast as its client does. */
export interface EventSink {
  /** Called first; `drained` says that the client takes more again. */
  begin(drained: () => void): void
  /** @returns false: not more than this, before `drained` */
  take(texts: readonly EventText[]): boolean
  /** @param next where to go on */
  end(next: number): void
  fail(error: unknown): void
}

export interface ReadingOptions {
  readonly source: EventSource
  readonly sink: EventSink
  /** What of it was archived comes from here. */
  readonly archived: Pick<ArchivedStreams, 'load'>
  /** Events at most. */
  readonly limit: number
  /** Does not end where the store ends: `wake` goes on. */
  readonly follows: boolean
}

/**
 * Reads events for one request, a few blocks a turn: other requests have theirs in between, and no more is in memory
 * than the client has taken and one portion.
 */
export class EventReading {
  readonly #environment: Environment
  readonly #options: ReadingOptions
  #left: number
  #isPaused = false
  #isScheduled = false
  #isEnded = false
  readonly #turnDue: () => void

  constructor(environment: Environment, options: ReadingOptions) {
    this.#environment = environment
    this.#options = options
    this.#left = options.limit
    this.#turnDue = () => {
      this.#isScheduled = false
      this.#turn()
    }
    options.sink.begin(() => {
      this.#isPaused = false
      this.wake()
    })
    this.wake()
  }

  /** There may be more to read. */
  wake(): void {
    if (this.#isScheduled || this.#isPaused || this.#isEnded) return
    this.#isScheduled = true
    this.#environment.scheduler.soon(this.#turnDue)
  }

  /** Nobody reads any more. */
  abandon(): void {
    this.#isEnded = true
  }

  /** Ends it here, before its end. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#options.sink.end(this.#options.source.next)
  }

  #turn(): void {
    if (this.#isEnded) return
    try {
      this.#read()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (isArchivedElsewhere(error)) {
      this.#isPaused = true
      this.#options.archived.load(error).then(
        () => {
          this.#isPaused = false
          this.wake()
        },
        (failure: unknown) => this.#failed(failure),
      )
      return
    }
    if (this.#isEnded) return
    this.#isEnded = true
    this.#options.sink.fail(error)
  }

  #read(): void {
    const { source, sink, follows } = this.#options
    for (let bytes = 0; bytes < httpLimits.turnBytes; ) {
      const portion = this.#left === 0 ? null : source.read(this.#left)
      if (portion === null) {
        if (!follows || this.#left === 0) this.end()
        return
      }
      bytes += portion.bytes
      this.#left -= portion.texts.length
      this.#isPaused = !sink.take(portion.texts)
      if (this.#isPaused) return
    }
    this.wake()
  }
}
