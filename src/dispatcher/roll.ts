import type { Clock } from '../kernel/environment.ts'
import { followerOfInstance } from '../replica/follower-names.ts'
import type { RootState } from '../state/root.ts'

/**
 * Which instances that hold active workflows are gone. A workflow may wait for what it does outside for as long as it likes, so
 * that nothing comes out of an instance says nothing: its process is asked, by way of the journal writer.
 */
export class Roll {
  readonly #state: RootState
  readonly #clock: Clock
  /** Missing at every call since then. */
  readonly #missingSinceMs = new Map<string, number>()

  constructor(state: RootState, clock: Clock) {
    this.#state = state
    this.#clock = clock
  }

  /** Somebody holds active workflows. */
  get isWanted(): boolean {
    const { activations, applications } = this.#state
    return activations.byKey.size > 0 && applications.byInstance.size > 0
  }

  /** The answer to a call. @param names of those who follow the journal and answer */
  called(names: readonly string[]): void {
    const nowMs = this.#clock.monotonicMs()
    const there = new Set(names)
    const holding = this.#holding()
    for (const instance of this.#missingSinceMs.keys())
      if (!holding.has(instance)) this.#missingSinceMs.delete(instance)
    for (const instance of holding) {
      if (there.has(followerOfInstance(instance))) this.#missingSinceMs.delete(instance)
      else if (!this.#missingSinceMs.has(instance)) this.#missingSinceMs.set(instance, nowMs)
    }
  }

  /** Nothing is known any more: the dispatcher was away. */
  clear(): void {
    this.#missingSinceMs.clear()
  }

  /** Missing for so long, each said once. */
  *missingFor(silenceMs: number): Generator<string> {
    const nowMs = this.#clock.monotonicMs()
    for (const [instance, sinceMs] of this.#missingSinceMs) {
      if (nowMs - sinceMs <= silenceMs) continue
      this.#missingSinceMs.delete(instance)
      yield instance
    }
  }

  #holding(): ReadonlySet<string> {
    const holding = new Set<string>()
    for (const { token, instance } of this.#state.activations.byKey.values()) if (token !== 0) holding.add(instance)
    return holding
  }
}
