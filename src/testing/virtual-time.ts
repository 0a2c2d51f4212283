import { Heap } from '../kernel/heap.ts'
import type { SeededRandom } from './seeded-random.ts'
import { turn } from './turn-adapter.ts'

interface Event {
  readonly atMs: number
  /** Decides among simultaneous events, by chance; then the order in which they were asked for. */
  readonly lot: number
  readonly number: number
  readonly run: () => void
  cancelled: boolean
}

/** Monotonic time that passes only from event to event. */
export class VirtualTime {
  nowMs = 0
  /** Events that have run. */
  events = 0
  /** Streams of Node are in use: they get as many ticks as they want between two events. */
  hasStreams = false
  readonly #random: SeededRandom
  readonly #heap = new Heap(isBefore)
  #asked = 0

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** @returns how to cancel it. */
  at(atMs: number, run: () => void): () => void {
    const event: Event = {
      atMs: Math.max(atMs, this.nowMs),
      lot: this.#random.uint32(),
      number: ++this.#asked,
      run,
      cancelled: false,
    }
    this.#heap.push(event)
    return () => {
      event.cancelled = true
    }
  }

  after(delayMs: number, run: () => void): () => void {
    return this.at(this.nowMs + delayMs, run)
  }

  /** Runs events until `isOver`, or until the next one lies beyond `untilMs`. @returns whether it is over. */
  async run(untilMs: number, isOver: () => boolean): Promise<boolean> {
    await turn(this.hasStreams)
    while (!isOver()) {
      const event = this.#heap.first()
      if (event === undefined || event.atMs > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return isOver()
      }
      this.#heap.pop()
      if (event.cancelled) continue
      this.nowMs = event.atMs
      this.events++
      event.run()
      await turn(this.hasStreams)
    }
    return true
  }
}

const isBefore = (a: Event, b: Event): boolean =>
  a.atMs !== b.atMs ? a.atMs < b.atMs : a.lot !== b.lot ? a.lot < b.lot : a.number < b.number
