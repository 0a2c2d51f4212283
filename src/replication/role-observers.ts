import { limits } from '../kernel/limits.ts'
import type { RoleState } from './role-state.ts'

/** Everybody who observes the role of this node for one stream, each at a pace of their own. */
export class RoleObservers {
  readonly #all = new Set<RoleObserver>()
  #isClosed = false

  /** @param present - what they see first */
  observe(present: () => RoleState): AsyncIterable<RoleState> {
    return {
      [Symbol.asyncIterator]: () => {
        const observer = new RoleObserver(present(), () => this.#all.delete(observer))
        this.#all.add(observer)
        if (this.#isClosed) observer.close()
        return observer
      },
    }
  }

  tell(state: RoleState): void {
    for (const observer of this.#all) observer.push(state)
  }

  close(): void {
    this.#isClosed = true
    for (const observer of this.#all) observer.close()
  }
}

class RoleObserver implements AsyncIterator<RoleState, undefined> {
  readonly #ended: () => void
  readonly #untold: RoleState[]
  #waiting: ((result: IteratorResult<RoleState, undefined>) => void)[] = []
  #isClosed = false

  constructor(first: RoleState, ended: () => void) {
    this.#untold = [first]
    this.#ended = ended
  }

  next(): Promise<IteratorResult<RoleState, undefined>> {
    const value = this.#untold.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** What was not told yet is not told any more. */
  return(): Promise<IteratorResult<RoleState, undefined>> {
    this.#untold.length = 0
    this.close()
    return Promise.resolve({ done: true, value: undefined })
  }

  push(value: RoleState): void {
    const next = this.#waiting.shift()
    if (next !== undefined) return next({ done: false, value })
    // Whoever does not listen for so long misses the oldest.
    if (this.#untold.length >= limits.untoldRolesMax) this.#untold.shift()
    this.#untold.push(value)
  }

  close(): void {
    this.#isClosed = true
    for (const next of this.#waiting.splice(0)) next({ done: true, value: undefined })
    this.#ended()
  }
}
