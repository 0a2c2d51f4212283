import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { eventsOf } from '../actions/decode.ts'
import { revisionOf, variantOf } from '../actions/entry-layout.ts'
import { CommanderError } from '../kernel/errors.ts'
import { isDropped, upcastEvent } from '../sdk/upcast-event.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { EventLogReader } from './event-log.ts'
import type { HostedAggregate } from './hosted-aggregates.ts'
import { readSnapshot } from './snapshots.ts'
import { readHead, streamPointers } from './streams.ts'

export interface RestoredAggregate {
  readonly revision: number
  readonly state: unknown
}

/** Folds an aggregate from the store: from its newest snapshot that today's code can use, or from the beginning. */
export class AggregateRestorer {
  readonly #store: KeyValueStore
  readonly #log: EventLogReader

  constructor(store: KeyValueStore) {
    this.#store = store
    this.#log = new EventLogReader(store)
  }

  restore(
    { definition, fingerprint }: HostedAggregate,
    key: string,
    upTo: number = Number.POSITIVE_INFINITY,
  ): RestoredAggregate {
    const head = readHead(this.#store, key)
    if (head === null) return { revision: 0, state: definition.initialState() }
    const last = Math.min(head.revision, upTo)
    const snapshot = readSnapshot(this.#store, key)
    const isKnown = snapshot !== null && snapshot.definition === fingerprint && snapshot.revision <= last
    const usable = isKnown && (snapshot.lsn ?? 0) >= this.#log.snapshotsSince(definition.name)
    const start = usable ? snapshot : { revision: 0, state: definition.initialState() }
    return { revision: last, state: this.#fold(definition, key, start, last) }
  }

  #fold(definition: HostedAggregate['definition'], key: string, start: RestoredAggregate, last: number): unknown {
    const aggregate = parseAggregateKey(key)
    let { revision, state } = start
    if (revision >= last) return state
    for (const pointer of streamPointers(this.#store, key, revision + 1)) {
      const { buffer, offset } = this.#log.entry(pointer)
      const base = revisionOf(buffer, offset)
      if (base + 1 > revision + 1) throw this.#gap(key, revision, base)
      const events = eventsOf(buffer, offset)
      const version = variantOf(buffer, offset)
      for (let i = revision - base; i < events.length && revision < last; i++) {
        revision++
        const event = events[i] as { type: string; data: unknown }
        state = foldOne(definition, state, event, version, aggregate, revision)
      }
      if (revision >= last) break
    }
    return state
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
