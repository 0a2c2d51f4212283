import type { LogBlock } from '../tables/event-log.ts'
import type { ReadEvent } from './queries.ts'

/** An event as it is sent. */
export interface EventText {
  readonly position: number
  readonly type: string
  readonly json: string
}

interface Cached {
  readonly firstPosition: number
  readonly entries: Buffer
  readonly texts: readonly EventText[]
}

const blocksMax = 16
const blockBytesMax = 131_072

export const textOf = (event: ReadEvent): EventText => ({
  position: event.globalPosition,
  type: event.type,
  json: JSON.stringify(event),
})

/**
 * Blocks of the event log as text. The latest are kept, because whoever follows the log reads them at the same time:
 * an event is decoded and written as JSON once, and not once for each of them. A block changes where events are removed
 * and where a migration rewrites them: its bytes are compared, which costs little beside what it takes to write them as JSON.
 */
export class EventTexts {
  readonly #eventsOf: (block: LogBlock) => readonly ReadEvent[]
  #cached: Cached[] = []

  constructor(eventsOf: (block: LogBlock) => readonly ReadEvent[]) {
    this.#eventsOf = eventsOf
  }

  of(block: LogBlock): readonly EventText[] {
    const { firstPosition, entries } = block
    const known = this.#cached.findIndex((cached) => cached.firstPosition === firstPosition)
    if (known >= 0) {
      const { texts, entries: then } = this.#cached[known] as Cached
      if (then.equals(entries)) return texts
      this.#cached.splice(known, 1)
    }
    const texts = this.#eventsOf(block).map(textOf)
    if (entries.length <= blockBytesMax) {
      this.#cached.push({ firstPosition, entries, texts })
      if (this.#cached.length > blocksMax) this.#cached.shift()
    }
    return texts
  }
}
