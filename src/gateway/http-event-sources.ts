import type { EventText, EventTexts } from './http-event-texts.ts'
import { textOf } from './http-event-texts.ts'
import type { HttpQueries } from './http-route.ts'

/** Some of what is read, in order. */
export interface EventPortion {
  /** None when those asked for are not among them. */
  readonly texts: readonly EventText[]
  /** As stored, more or less. */
  readonly bytes: number
}

/** What is read, a portion at a time. */
export interface EventSource {
  /** Where to go on: a position, or a revision. */
  readonly next: number
  /** @returns null when there is nothing more, at present */
  read(most: number): EventPortion | null
}

/** The log of all events after a position, a block at a time. */
export class LogSource implements EventSource {
  readonly #queries: HttpQueries
  readonly #texts: EventTexts
  readonly #types: ReadonlySet<string> | null
  #after: number

  constructor(queries: HttpQueries, texts: EventTexts, after: number, types: ReadonlySet<string> | null) {
    this.#queries = queries
    this.#texts = texts
    this.#after = after
    this.#types = types
  }

  get next(): number {
    return this.#after
  }

  read(most: number): EventPortion | null {
    for (const block of this.#queries.log.blocksFrom(this.#after + 1)) {
      const { lastPosition: last } = block
      if (last <= this.#after) continue
      const texts = this.#wanted(this.#texts.of(block), most)
      this.#after = texts.length === most ? (texts.at(-1) as EventText).position : last
      return { texts, bytes: block.entries.length }
    }
    return null
  }

  #wanted(all: readonly EventText[], most: number): EventText[] {
    const wanted: EventText[] = []
    for (const text of all) {
      if (wanted.length === most) break
      if (text.position > this.#after && (this.#types === null || this.#types.has(text.type))) wanted.push(text)
    }
    return wanted
  }
}

const portionEvents = 128

/** The events of one aggregate from a revision on. */
export class StreamSource implements EventSource {
  readonly #queries: HttpQueries
  readonly #type: string
  readonly #id: string
  #next: number

  constructor(queries: HttpQueries, type: string, id: string, from: number) {
    this.#queries = queries
    this.#type = type
    this.#id = id
    this.#next = Math.max(1, from)
  }

  get next(): number {
    return this.#next
  }

  read(most: number): EventPortion | null {
    const { events, nextRevision } = this.#queries.stream(
      this.#type,
      this.#id,
      this.#next,
      Math.min(most, portionEvents),
    )
    if (events.length === 0) return null
    this.#next = nextRevision
    const texts = events.map(textOf)
    return { texts, bytes: texts.reduce((sum, { json }) => sum + json.length, 0) }
  }
}
