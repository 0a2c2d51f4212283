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
  readonly holes: number
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
 * an event is decoded and written as JSON once, and not once for each of them. A block changes only
 * where events are removed.
 */
export class EventTexts {
  readonly #eventsOf: (block: LogBlock) => readonly ReadEvent[]
  #cached: Cached[] = []

  constructor(eventsOf: (block: LogBlock) => readonly ReadEvent[]) {
    this.#eventsOf = eventsOf
  }

  of(block: LogBlock): readonly EventText[] {
    const { firstPosition, entries, holes } = block
    const known = this.#cached.findIndex((cached) => cached.firstPosition === firstPosition)
    if (known >= 0) {
      const { texts, holes: then } = this.#cached[known] as Cached
      if (then === holes) return texts
      this.#cached.splice(known, 1)
    }
    const texts = this.#eventsOf(block).map(textOf)
    if (entries.length <= blockBytesMax) {
      this.#cached.push({ firstPosition, holes, texts })
      if (this.#cached.length > blocksMax) this.#cached.shift()
    }
    return texts
  }
}
