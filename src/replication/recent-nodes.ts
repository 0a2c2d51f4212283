import type { Clock } from '../kernel/environment.ts'
import type { NodeRecord } from './node-record.ts'

interface Seen {
  readonly record: NodeRecord
  readonly atMs: number
}

/**
 * Nodes that are there, and those that were a moment ago: one that starts again or stands still for a while is about to need what
 * it needed before.
 */
export class RecentNodes {
  readonly #clock: Clock
  readonly #keepMs: number
  readonly #seen = new Map<string, Seen>()

  /** @param keepMs how long one that has gone is counted */
  constructor(clock: Clock, keepMs: number) {
    this.#clock = clock
    this.#keepMs = keepMs
  }

  /** Often, also while nobody asks: who is not seen is not known. */
  look(present: ReadonlyMap<string, NodeRecord>): void {
    const atMs = this.#clock.monotonicMs()
    for (const [id, record] of present) this.#seen.set(id, { record, atMs })
    for (const [id, seen] of this.#seen) if (atMs - seen.atMs > this.#keepMs) this.#seen.delete(id)
  }

  get all(): readonly NodeRecord[] {
    return [...this.#seen.values()].map(({ record }) => record)
  }
}
