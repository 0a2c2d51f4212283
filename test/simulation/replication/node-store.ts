import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { lastLsnOf, type ReplicatedBatch } from '../../../src/replication/batch.ts'

/** The cache of a node: batches by their first entry. */
export class NodeStore {
  readonly #batches = new Map<Lsn, ReplicatedBatch>()

  put(batch: ReplicatedBatch): void {
    this.#batches.set(batch.firstLsn, batch)
  }

  at(firstLsn: number): ReplicatedBatch | undefined {
    return this.#batches.get(lsn(firstLsn))
  }

  /** What there is in a row behind `after`, up to `upTo`. */
  take(after: Lsn, upTo: Lsn, most: number): readonly ReplicatedBatch[] {
    const taken: ReplicatedBatch[] = []
    let next = this.at(after + 1)
    while (next !== undefined && lastLsnOf(next) <= upTo && taken.length < most) {
      taken.push(next)
      next = this.at(lastLsnOf(next) + 1)
    }
    return taken
  }

  /** How far it reaches in a row behind `after`. */
  reach(after: Lsn, upTo: Lsn): Lsn {
    const last = this.take(after, upTo, Number.POSITIVE_INFINITY).at(-1)
    return last === undefined ? after : lastLsnOf(last)
  }

  dropAbove(after: Lsn): void {
    for (const batch of this.#batches.values()) if (lastLsnOf(batch) > after) this.#batches.delete(batch.firstLsn)
  }

  clear(): void {
    this.#batches.clear()
  }
}
