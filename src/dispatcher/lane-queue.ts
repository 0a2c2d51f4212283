import type { PendingCommand } from '../state/commands.ts'
import type { Place } from '../state/queues.ts'

export type PlacedCommand = PendingCommand & { readonly place: Place }

/** Commands that wait in one partition of a queue: by priority, then in the order in which they came. A binary heap. */
export class LaneQueue {
  readonly place: Place
  readonly #heap: PlacedCommand[] = []

  constructor(place: Place) {
    this.place = place
  }

  get length(): number {
    return this.#heap.length
  }

  push(command: PlacedCommand): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(command)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (isBefore(heap[parent] as PlacedCommand, command)) break
      heap[at] = heap[parent] as PlacedCommand
      at = parent
    }
    heap[at] = command
  }

  pop(): PlacedCommand | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as PlacedCommand, heap[child] as PlacedCommand)) child++
      if (isBefore(last, heap[child] as PlacedCommand)) break
      heap[at] = heap[child] as PlacedCommand
      at = child
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: PlacedCommand, b: PlacedCommand): boolean =>
  a.place.priority === b.place.priority ? a.lsn < b.lsn : a.place.priority > b.place.priority
