import { hashOf, lsnOf } from '../actions/entry-layout.ts'
import { partitionCount, partitionOf } from '../kernel/hash.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { LiveAggregate } from './live-aggregates.ts'

/**
 * By partition: the last completion that is not in this process's memory, because another incarnation made it or
 * because it was forgotten. A store must have applied it before an aggregate of the partition is restored from it.
 */
export class CompletionsElsewhere {
  readonly #last = new Float64Array(partitionCount)
  /** The newest completion by anybody. */
  #newest: Lsn

  constructor(after: Lsn) {
    this.#newest = after
    this.#last.fill(after)
  }

  /** A completion came out of the journal; `isOwn`: this process made it, and holds the state after it. */
  note(b: Buffer, o: number, isOwn: boolean): void {
    this.#newest = lsnOf(b, o)
    if (!isOwn) this.#last[partitionOf(hashOf(b, o))] = this.#newest
  }

  forget({ hash, lastLsn }: LiveAggregate): void {
    const partition = partitionOf(hash)
    this.#last[partition] = Math.max(this.#last[partition] as number, lastLsn)
  }

  /** @param at until the store has applied this entry, what it shows does not count */
  forgetAll(at: Lsn): void {
    if (at > this.#newest) this.#newest = at
    this.#last.fill(this.#newest)
  }

  /** The LSN that the store must have applied before the aggregate may be restored. */
  neededBy({ hash, lastLsn }: LiveAggregate): number {
    return Math.max(this.#last[partitionOf(hash)] as number, lastLsn)
  }
}
