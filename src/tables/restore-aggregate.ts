import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { revisionOf, variantOf } from '../actions/entry-layout.ts'
import { CommanderError } from '../kernel/errors.ts'
import { isDropped, upcastEvent } from '../sdk/upcast-event.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { ArchivedStreams, isArchivedElsewhere } from './archived-streams.ts'
import { EventLogReader } from './event-log.ts'
import type { HostedAggregate } from './hosted-aggregates.ts'
import { readSnapshot } from './snapshots.ts'
import { StreamReader } from './stream-reader.ts'
import { readHead } from './streams.ts'

export interface RestoredAggregate {
  readonly revision: number
  readonly state: unknown
}

interface PausedFold extends RestoredAggregate {
  /** Folded by this code, from events in this form. */
  readonly code: string
}

const pausedMax = 64

/** Folds an aggregate from the store: from its newest snapshot that today's code can use, or from the beginning. */
export class AggregateRestorer {
  readonly #store: KeyValueStore
  readonly #log: EventLogReader
  readonly #reader: StreamReader
  /** By key: where a fold stopped whose next events are in the archive. It may need more of them than memory holds. */
  readonly #paused = new Map<string, PausedFold>()

  constructor(
    store: KeyValueStore,
    archived: ArchivedStreams = new ArchivedStreams(null),
    log: EventLogReader = new EventLogReader(store, archived),
  ) {
    this.#store = store
    this.#log = log
    this.#reader = new StreamReader(store, log, archived)
  }

  /** @throws ArchivedElsewhere */
  restore(
    { definition, fingerprint }: HostedAggregate,
    key: string,
    upTo: number = Number.POSITIVE_INFINITY,
  ): RestoredAggregate {
    const head = readHead(this.#store, key)
    if (head === null) return { revision: 0, state: definition.initialState() }
    const last = Math.min(head.revision, upTo)
    const code = `${fingerprint} since ${this.#log.snapshotsSince(definition.name)}`
    const start = this.#startOf(definition, fingerprint, code, key, last)
    return { revision: last, state: this.#fold(definition, code, key, start, last) }
  }

  /** The newest state up to `last` that this code has folded. */
  #startOf(
    definition: HostedAggregate['definition'],
    fingerprint: string,
    code: string,
    key: string,
    last: number,
  ): RestoredAggregate {
    const snapshot = readSnapshot(this.#store, key)
    const paused = this.#paused.get(key)
    this.#paused.delete(key)
    if (paused?.code === code && paused.revision <= last) return paused
    const isKnown = snapshot !== null && snapshot.definition === fingerprint && snapshot.revision <= last
    const usable = isKnown && (snapshot.lsn ?? 0) >= this.#log.snapshotsSince(definition.name)
    return usable ? snapshot : { revision: 0, state: definition.initialState() }
  }

  #fold(
    definition: HostedAggregate['definition'],
    code: string,
    key: string,
    start: RestoredAggregate,
    last: number,
  ): unknown {
    const aggregate = parseAggregateKey(key)
    let { revision, state } = start
    if (revision >= last) return state
    try {
      for (const { buffer, offset } of this.#reader.entries(key, revision + 1)) {
        const base = revisionOf(buffer, offset)
        if (base > revision) throw this.#gap(key, revision, base)
        const events = eventsOf(buffer, offset)
        const version = variantOf(buffer, offset)
        for (let i = revision - base; i < events.length && revision < last; i++) {
          const event = events[i] as { type: string; data: unknown }
          state = foldOne(definition, state, event, version, aggregate, revision + 1)
          revision++
        }
        if (revision >= last) break
      }
    } catch (error) {
      if (isArchivedElsewhere(error)) this.#pause(key, { code, revision, state })
      throw error
    }
    return state
  }

  #pause(key: string, at: PausedFold): void {
    this.#paused.set(key, at)
    const [oldest] = this.#paused.keys()
    if (this.#paused.size > pausedMax && oldest !== undefined) this.#paused.delete(oldest)
  }

  #gap(key: string, revision: number, base: number): CommanderError {
    return new CommanderError('store_failed', `the stream ${key} goes from revision ${revision} to ${base + 1}`)
  }
}

/** One stored event, brought to today's form, folded into the state. */
export function foldOne(
  definition: HostedAggregate['definition'],
  state: unknown,
  stored: { readonly type: string; readonly data: unknown },
  version: number,
  aggregate: { readonly type: string; readonly id: string },
  revision: number,
): unknown {
  if (isDropped(stored)) return state
  const event = upcastEvent(definition, stored, version)
  const handler = Object.hasOwn(definition.evolve, event.type) ? definition.evolve[event.type] : undefined
  if (handler === undefined) {
    throw new CommanderError(
      'invalid_module',
      `${aggregate.type}/${aggregate.id} has an event "${event.type}" at revision ${revision}, which its evolve does not know`,
    )
  }
  return handler(state, event.data, { type: event.type, aggregate, revision })
}
