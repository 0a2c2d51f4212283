import type { StoredTimer } from './timer-place.ts'

/** A timer in memory. */
export interface HeldTimer extends StoredTimer {
  /** When it is due, by the monotonic clock. */
  at: number
  /** Among those that are due at the same time: the order in which they came. */
  readonly number: number
  state: 'waiting' | 'fired' | 'removed'
}

/** Those that are due first come first; a binary heap. */
export class TimerHeap {
  readonly #heap: HeldTimer[] = []

  get length(): number {
    return this.#heap.length
  }

  first(): HeldTimer | undefined {
    return this.#heap[0]
  }

  push(timer: HeldTimer): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (isBefore(heap[parent] as HeldTimer, timer)) break
      heap[at] = heap[parent] as HeldTimer
      at = parent
    }
    heap[at] = timer
  }

  pop(): void {
    const heap = this.#heap
    const last = heap.pop() as HeldTimer
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as HeldTimer, heap[child] as HeldTimer)) child++
      if (isBefore(last, heap[child] as HeldTimer)) break
      heap[at] = heap[child] as HeldTimer
      at = child
    }
    heap[at] = last
  }

  /** All of them, which then are there no longer. */
  takeAll(): HeldTimer[] {
    return this.#heap.splice(0)
  }
}

const isBefore = (a: HeldTimer, b: HeldTimer): boolean => a.at < b.at || (a.at === b.at && a.number < b.number)
