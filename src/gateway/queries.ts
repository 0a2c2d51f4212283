import type { CommandSkipped } from '../actions/action.ts'
import { actionCodes, actionTypeOf } from '../actions/action-codes.ts'
import { aggregateKey, parseAggregateKey } from '../actions/aggregate-key.ts'
import { decodeReceived, eventsOf, payloadOf } from '../actions/decode.ts'
import {
  codeOf,
  eventCountOf,
  isRemoved,
  keyOf,
  lsnOf,
  nameOf,
  revisionOf,
  variantOf,
  wallMsOf,
} from '../actions/entry-layout.ts'
import type { CommandView, ProjectionView, ClientEvent as ReadEvent, StreamView } from '../ipc/client-views.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Application } from '../sdk/application.ts'
import { upcastEvent } from '../sdk/upcast-event.ts'
import { pendingStartOf, waitingFor } from '../state/waiting-for.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { numberKey, readKeyNumber } from '../store/keys.ts'
import { type ArchivedStreams, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { EventLogReader, eachEntry, type LogBlock } from '../tables/event-log.ts'
import { type HostedAggregate, hosted, hostedAggregates } from '../tables/hosted-aggregates.ts'
import { archivedUpTo, readLife } from '../tables/lives.ts'
import { readOutcome, readParked, type StoredOutcome } from '../tables/outcomes.ts'
import { listProgress, type ProjectionProgress, readProgress, readRow } from '../tables/projection-rows.ts'
import { AggregateRestorer } from '../tables/restore-aggregate.ts'
import type { StreamEntry } from '../tables/stream-object.ts'
import { StreamReader } from '../tables/stream-reader.ts'
import { readHead } from '../tables/streams.ts'
import { tableNames } from '../tables/table-names.ts'
import { readWorkflowRecord, type WorkflowRecord } from '../tables/workflow-index.ts'
import type { PendingStart } from '../workflows/workflow-end.ts'
import { isWorkflowKey, workflowType } from '../workflows/workflow-names.ts'
import type { WorkflowState } from '../workflows/workflow-state.ts'
import type { Gateway } from './gateway.ts'

export type { ClientEvent as ReadEvent, CommandView, ProjectionView, StreamView } from '../ipc/client-views.ts'

export interface StateView {
  readonly aggregate: { readonly type: string; readonly id: string }
  readonly revision: number
  readonly state: unknown
}

/**
 * Reads, straight from the store: they wait for nothing but, where asked, for the store to have applied an LSN.
 * What the store has is flushed (G9).
 */
export class Queries {
  readonly #gateway: Gateway
  readonly #store: KeyValueStore
  readonly archived: ArchivedStreams
  readonly #log: EventLogReader
  readonly #streams: StreamReader
  readonly #restorer: AggregateRestorer
  readonly #hosted: ReadonlyMap<string, HostedAggregate>

  constructor(gateway: Gateway, store: KeyValueStore, applications: readonly Application[], archived: ArchivedStreams) {
    this.#gateway = gateway
    this.#store = store
    this.archived = archived
    this.#log = new EventLogReader(store, archived)
    this.#streams = new StreamReader(store, this.#log, archived)
    this.#restorer = new AggregateRestorer(store, archived, this.#log)
    gateway.onApplied(() => this.#log.forget())
    this.#hosted = new Map(applications.flatMap((application) => [...hostedAggregates(application)]))
  }

  get log(): EventLogReader {
    return this.#log
  }

  /** @throws CommanderError `unknown_aggregate`, `stream_deleted` */
  state(type: string, id: string, atLsn?: number): StateView {
    const key = this.present(type, id)
    const upTo = atLsn === undefined ? undefined : this.#revisionAt(key, atLsn)
    const { revision, state } = this.#restorer.restore(this.#hosted.get(type) as HostedAggregate, key, upTo)
    return { aggregate: { type, id }, revision, state }
  }

  /**
   * Events of one stream from a revision on (1 is the first), at most `limits.pageEventsMax`.
   * @throws CommanderError `unknown_aggregate`, `stream_deleted`
   */
  stream(type: string, id: string, from: number, limit: number): { events: ReadEvent[]; nextRevision: number } {
    const key = this.present(type, id)
    const most = Math.min(limit, limits.pageEventsMax)
    const events: ReadEvent[] = []
    let revision = Math.max(1, from)
    try {
      for (const { buffer, offset, position } of this.#streams.entries(key, revision)) {
        if (events.length >= most) break
        const base = revisionOf(buffer, offset)
        const wanted = this.#eventsOf(buffer, offset, position).slice(revision - base - 1)
        for (const event of wanted.slice(0, most - events.length)) events.push(event)
        revision = (events.at(-1)?.revision ?? revision - 1) + 1
      }
    } catch (error) {
      // What is in memory is a page; the next one begins in the archive.
      if (!isArchivedElsewhere(error) || events.length === 0) throw error
    }
    return { events, nextRevision: revision }
  }

  /** What has become of a stream. @throws CommanderError `unknown_aggregate` */
  life(type: string, id: string): StreamView {
    this.#gateway.admission.aggregate(type)
    const key = aggregateKey(type, id)
    const life = readLife(this.#store, key)
    const { closedLsn, deletedLsn, lastRevision } = life
    const revision = deletedLsn === 0 ? (readHead(this.#store, key)?.revision ?? 0) : lastRevision
    const status = deletedLsn === 0 ? (closedLsn === 0 ? 'open' : 'closed') : 'deleted'
    const ends = { closedLsn: closedLsn || null, deletedLsn: deletedLsn || null }
    return { aggregate: { type, id }, status, revision, archivedUpTo: archivedUpTo(life), ...ends }
  }

  /** The state of an aggregate, and the code that folded it. @throws CommanderError `unknown_aggregate`, `stream_deleted` */
  fold(type: string, id: string): { readonly definition: string; readonly revision: number; readonly state: unknown } {
    const key = this.present(type, id)
    const hosted = this.#hosted.get(type) as HostedAggregate
    return { definition: hosted.fingerprint, ...this.#restorer.restore(hosted, key) }
  }

  /** Of a workflow that was not deleted; otherwise null. @throws ArchivedElsewhere, CommanderError `unknown_workflow` */
  workflowState(name: string, id: string): WorkflowState | null {
    const type = workflowType(name)
    const key = aggregateKey(type, id)
    this.#gateway.admission.aggregate(type)
    if (readLife(this.#store, key).deletedLsn !== 0) return null
    return this.#restorer.restore(hosted(this.#hosted, type), key).state as WorkflowState
  }

  /** As stored, from the one that holds a revision on. */
  entries(key: string, fromRevision: number): Generator<StreamEntry> {
    return this.#streams.entries(key, fromRevision)
  }

  /** Events of all streams after a position, and the position to go on after. */
  events(after: number, limit: number, types: ReadonlySet<string> | null): { events: ReadEvent[]; next: number } {
    const events: ReadEvent[] = []
    let next = after
    for (const block of this.#log.blocksFrom(after + 1)) {
      for (const event of this.blockEvents(block)) {
        if (event.globalPosition <= after) continue
        if (events.length >= limit) return { events, next }
        next = event.globalPosition
        if (types === null || types.has(event.type)) events.push(event)
      }
    }
    return { events, next }
  }

  blockEvents(block: LogBlock): ReadEvent[] {
    const events: ReadEvent[] = []
    eachEntry(block, (b, o, first) => {
      for (const event of this.#eventsOf(b, o, first)) events.push(event)
    })
    return events
  }

  /** @throws CommanderError `unknown_projection`, `not_ready` (its first build is under way), `not_found` */
  projection(
    name: string,
    key: string,
  ): { readonly name: string; readonly key: string; readonly version: number; readonly value: unknown } {
    const progress = readProgress(this.#store, name)
    if (progress === null) throw unknownProjection(name, this.projections())
    if (progress.live === null) throw notBuilt(name, progress)
    const value = readRow(this.#store, name, progress.live, key)
    if (value === null) throw new CommanderError('not_found', `projection "${name}" has no row "${key}"`)
    return { name, key, version: progress.live, value }
  }

  projections(): ProjectionView[] {
    return listProgress(this.#store).map(({ name, progress }) => viewOf(name, progress))
  }

  /** @throws CommanderError `not_found` when no command has this id */
  command(id: string): CommandView {
    const at = commandLsn(id)
    const pending = this.#gateway.state.commands.byLsn.get(at)
    if (pending !== undefined) {
      const aggregate = parseAggregateKey(pending.queue.key)
      const view = { id, lsn: at, status: 'pending' as const, aggregate, command: null, attempts: pending.attempts }
      const reason = waitingFor(this.#gateway.state, pending, this.#gateway.wallMs())
      return reason === null ? view : { ...view, waitingFor: reason }
    }
    const stored = readOutcome(this.#store, this.#log, at)
    if (stored === null) throw new CommanderError('not_found', `there is no command "${id}"`)
    return this.#ended(id, at, stored)
  }

  /** Parked or pending commands in LSN order, after the one with the id `after`. */
  commands(state: 'parked' | 'pending', limit: number, after = 0): CommandView[] {
    const most = Math.min(limit, limits.pageEventsMax)
    if (state === 'parked') {
      const range = this.#store.table(tableNames.parked).range({ from: numberKey(after + 1), limit: most })
      return [...range].map(({ key }) => this.command(String(readKeyNumber(key, 0))))
    }
    const later = [...this.#gateway.state.commands.byLsn.keys()].filter((at) => at > after)
    const pending = later.sort((a, b) => a - b).slice(0, most)
    return pending.map((at) => this.command(String(at)))
  }

  /** What `command/retried` and `command/skipped` need of a parked command. */
  parked(id: string): { readonly command: Lsn; readonly received: ReturnType<typeof decodeReceived> } {
    const at = commandLsn(id)
    const bytes = readParked(this.#store, at)
    if (bytes !== null) return { command: at, received: decodeReceived(bytes, 0) }
    const { status } = this.command(id)
    throw new CommanderError(
      'invalid_input',
      `command ${id} is ${status}; only a parked command can be retried or skipped`,
    )
  }

  /** A parked command that is given up: whoever waits for it is told. @throws CommanderError as `parked` */
  skippable(id: string, reason: string): CommandSkipped {
    const { command, received } = this.parked(id)
    const { aggregate, reply } = received
    return { type: 'command/skipped', command, aggregate, reason, ...(reply === undefined ? {} : { reply }) }
  }

  /** A parked command that is to be decided again. @throws CommanderError as `parked`, and `stream_deleted` */
  retryable(id: string): ReturnType<Queries['parked']> {
    const parked = this.parked(id)
    const { type, id: aggregateId } = parked.received.aggregate
    this.present(type, aggregateId)
    return parked
  }

  /** @throws CommanderError `unknown_aggregate`, `unknown_workflow` */
  known(type: string): void {
    this.#gateway.admission.aggregate(type)
  }

  /** What the index has of a workflow; null where there is none, or the stream is none of a workflow. */
  workflow(key: string): WorkflowRecord | null {
    return isWorkflowKey(key) ? readWorkflowRecord(this.#store, key) : null
  }

  /** The command that will start a workflow; null: none is pending. */
  pendingStart(key: string): PendingStart | null {
    const { state } = this.#gateway
    const start = pendingStartOf(state, key)
    if (start === undefined) return null
    return { command: String(start.lsn), waitingFor: waitingFor(state, start, this.#gateway.wallMs()) }
  }

  /** The key of a stream that was not deleted. @throws CommanderError `unknown_aggregate`, `stream_deleted` */
  present(type: string, id: string): string {
    this.#gateway.admission.aggregate(type)
    const key = aggregateKey(type, id)
    if (readLife(this.#store, key).deletedLsn === 0) return key
    throw new CommanderError('stream_deleted', `${key} was deleted, and its id is not used again`)
  }

  #ended(id: string, at: Lsn, { entry: b, offset: o, firstPosition, endLsn, skipped }: StoredOutcome): CommandView {
    const code = codeOf(b, o)
    const parked = readParked(this.#store, at)
    const view = {
      id,
      lsn: at,
      aggregate: isRemoved(b, o) ? null : parseAggregateKey(keyOf(b, o)),
      command: skipped?.command ?? (parked === null ? null : nameOf(parked, 0)),
      endLsn,
    }
    switch (code) {
      case actionCodes['command/completed']:
        return { ...view, status: 'completed', events: this.#eventsOf(b, o, firstPosition) }
      case actionCodes['command/rejected']:
        return { ...view, status: 'rejected', reason: payloadOf(b, o) as { code: string; message: string } }
      case actionCodes['command/parked']: {
        const { message, attempts } = payloadOf(b, o) as { message: string; attempts: number }
        return { ...view, status: 'parked', reason: { code: 'command_parked', message }, attempts }
      }
      case actionCodes['command/skipped']: {
        const { reason } = payloadOf(b, o) as { reason: string }
        const attempts = skipped === undefined ? {} : { attempts: skipped.attempts }
        return { ...view, status: 'skipped', reason: { code: 'command_skipped', message: reason }, ...attempts }
      }
      default:
        throw new CommanderError('internal', `command ${id} ended with ${actionTypeOf(code) ?? code}`)
    }
  }

  #eventsOf(b: Buffer, o: number, firstPosition: number): ReadEvent[] {
    if (isRemoved(b, o)) return []
    const aggregate = parseAggregateKey(keyOf(b, o))
    const definition = this.#hosted.get(aggregate.type)?.definition
    const version = variantOf(b, o)
    const base = revisionOf(b, o)
    const at = new Date(wallMsOf(b, o)).toISOString()
    return eventsOf(b, o).map((stored, i) => {
      const { type, data } = definition === undefined ? stored : upcastEvent(definition, stored, version)
      return { type, data, aggregate, revision: base + i + 1, globalPosition: firstPosition + i, lsn: lsnOf(b, o), at }
    })
  }

  /** The revision that the aggregate had when the entry `atLsn` was applied. */
  #revisionAt(key: string, atLsn: number): number {
    const head = readHead(this.#store, key)
    if (head === null || head.lastLsn <= atLsn) return head?.revision ?? 0
    // Only the archived range that holds the revision has to be read.
    const { archives } = readLife(this.#store, key)
    const passed = archives.filter(({ lastLsn }) => lastLsn <= atLsn).at(-1)
    let revision = passed?.upTo ?? 0
    for (const { buffer, offset } of this.#streams.entries(key, revision + 1)) {
      if (lsnOf(buffer, offset) > atLsn) return revision
      revision = revisionOf(buffer, offset) + eventCountOf(buffer, offset)
    }
    return revision
  }
}

/** Command ids are the LSN of their `command/received`, as text. */
export function commandLsn(id: string): Lsn {
  const at = Number(id)
  if (/^[1-9][0-9]{0,15}$/.test(id) && Number.isSafeInteger(at)) return lsn(at)
  throw new CommanderError('not_found', `there is no command "${id}": ids are whole numbers`)
}

function viewOf(name: string, { live, building, failed }: ProjectionProgress): ProjectionView {
  if (failed !== null)
    return { name, version: live, status: 'failed', position: failed.position, message: failed.message }
  if (building !== null) return { name, version: live, status: 'rebuilding', position: Math.max(0, building.position) }
  return { name, version: live, status: 'live', position: null }
}

function unknownProjection(name: string, known: readonly { readonly name: string }[]): CommanderError {
  const names = known.map((one) => one.name).join(', ')
  const message = `no application defines projection "${name}"; there are: ${names === '' ? 'none' : names}`
  return new CommanderError('unknown_projection', message)
}

function notBuilt(name: string, { building, failed }: ProjectionProgress): CommanderError {
  if (failed !== null) return new CommanderError('not_ready', failed.message, { retryable: false })
  const at = Math.max(0, building?.position ?? 0)
  return new CommanderError('not_ready', `projection "${name}" is being built and is at position ${at}; try again`)
}
