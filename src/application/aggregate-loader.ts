import { messageOf } from '../kernel/errors.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { type ArchivedElsewhere, type ArchivedStreams, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { readLife } from '../tables/lives.ts'
import { AggregateRestorer } from '../tables/restore-aggregate.ts'
import { type LiveAggregate, markEnded } from './live-aggregates.ts'

/** Fills aggregates from the store, and from the archive where their snapshots are of other code. */
export class AggregateLoader {
  readonly #store: KeyValueStore
  readonly #archived: ArchivedStreams
  readonly #restorer: AggregateRestorer
  readonly #arrived: () => void
  /** By key: whose events are on their way from the archive. */
  readonly #fetching = new Set<string>()
  /** By key: why they did not come. Said once, as the aggregate's defect; who tries again asks the archive again. */
  readonly #failures = new Map<string, string>()

  /** @param arrived called when something more is in memory: load again */
  constructor(store: KeyValueStore, archived: ArchivedStreams, arrived: () => void) {
    this.#store = store
    this.#archived = archived
    this.#restorer = new AggregateRestorer(store, archived)
    this.#arrived = arrived
  }

  /** What cannot be folded is the aggregate's defect. @returns false when events are on their way from the archive */
  load(aggregate: LiveAggregate): boolean {
    const isLoaded = this.#isLoaded(aggregate)
    aggregate.readiness = isLoaded ? 'ready' : 'cold'
    return isLoaded
  }

  #isLoaded(aggregate: LiveAggregate): boolean {
    const { key, hosted } = aggregate
    if (this.#fetching.has(key)) return false
    const { closedLsn, deletedLsn } = readLife(this.#store, key)
    if (closedLsn !== 0) markEnded(aggregate, closedLsn, deletedLsn !== 0)
    if (aggregate.isDeleted) return true
    try {
      const { revision, state } = this.#restorer.restore(hosted, key)
      aggregate.revision = revision
      aggregate.state = state
      aggregate.defect = null
    } catch (error) {
      const failure = this.#failures.get(key)
      this.#failures.delete(key)
      if (isArchivedElsewhere(error) && failure === undefined) {
        this.#fetch(key, error)
        return false
      }
      aggregate.defect = `${key} cannot be restored: ${failure ?? messageOf(error)}`
    }
    return true
  }

  #fetch(key: string, elsewhere: ArchivedElsewhere): void {
    this.#fetching.add(key)
    const done = (failure: string | null): void => {
      this.#fetching.delete(key)
      if (failure !== null) this.#failures.set(key, failure)
      this.#arrived()
    }
    this.#archived.load(elsewhere).then(
      () => done(null),
      (error: unknown) => done(messageOf(error)),
    )
  }
}
