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
 * an event is decoded and written as JSON once, and not once for each of them. A block never changes.
 */
export class EventTexts {
  readonly #eventsOf: (block: LogBlock) => readonly ReadEvent[]
  #cached: Cached[] = []

  constructor(eventsOf: (block: LogBlock) => readonly ReadEvent[]) {
    this.#eventsOf = eventsOf
  }

  of(block: LogBlock): readonly EventText[] {
    const { firstPosition, entries } = block
    const known = this.#cached.find((cached) => cached.firstPosition === firstPosition)
    if (known !== undefined) return known.texts
    const texts = this.#eventsOf(block).map(textOf)
    if (entries.length <= blockBytesMax) {
      this.#cached.push({ firstPosition, texts })
      if (this.#cached.length > blocksMax) this.#cached.shift()
    }
    return texts
  }
}
