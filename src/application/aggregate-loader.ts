import { messageOf } from '../kernel/errors.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { readLife } from '../tables/lives.ts'
import { AggregateRestorer } from '../tables/restore-aggregate.ts'
import { type LiveAggregate, markEnded } from './live-aggregates.ts'

/** Fills aggregates from the store. */
export class AggregateLoader {
  readonly #store: KeyValueStore
  readonly #restorer: AggregateRestorer

  constructor(store: KeyValueStore) {
    this.#store = store
    this.#restorer = new AggregateRestorer(store)
  }

  /** What cannot be folded is the aggregate's defect. */
  load(aggregate: LiveAggregate): void {
    aggregate.readiness = 'ready'
    const { closedLsn, deletedLsn } = readLife(this.#store, aggregate.key)
    if (closedLsn !== 0) markEnded(aggregate, closedLsn, deletedLsn !== 0)
    if (aggregate.isDeleted) return
    try {
      const { revision, state } = this.#restorer.restore(aggregate.hosted, aggregate.key)
      aggregate.revision = revision
      aggregate.state = state
      aggregate.defect = null
    } catch (error) {
      aggregate.defect = `${aggregate.key} cannot be restored: ${messageOf(error)}`
    }
  }
}
