import type { StreamArchived } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { envelopeOf, eventsOf, payloadOf, snapshotOf } from '../actions/decode.ts'
import {
  codeOf,
  entryEnd,
  entryFlags,
  eventCountOf,
  flagsOf,
  keyOf,
  lsnOf,
  referenceOf,
  revisionOf,
} from '../actions/entry-layout.ts'
import { assert } from '../kernel/assert.ts'
import { isVoidDeletion, type RootState, reduce } from '../state/root.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { deleteArchivedRange, putArchivedRange } from '../tables/archives.ts'
import { EventLogAppender } from '../tables/event-log.ts'
import { putKey } from '../tables/idempotency-keys.ts'
import { archivedUpTo, putLife, readLifeInBatch } from '../tables/lives.ts'
import { deleteParked, putOutcome, putParked, putSkipped } from '../tables/outcomes.ts'
import { listRemovals, putRemoval, type Removal, removePortion } from '../tables/removals.ts'
import { deleteSnapshot, putSnapshot, readSnapshotInBatch } from '../tables/snapshots.ts'
import { revisionInBatch, StreamAppender } from '../tables/streams.ts'
import { deleteWorkflowRecord, indexWorkflowEvent } from '../tables/workflow-index.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { isWorkflowKey } from '../workflows/workflow-names.ts'
import { KeyDeletions } from './key-deletions.ts'
import { type CopySlice, MigrationTables } from './migration-tables.ts'
import type { ParkingWatch } from './parking-watch.ts'
import type { ProjectionRunner } from './projection-runner.ts'

export interface TableWriterOptions {
  readonly state: RootState
  readonly store: KeyValueStore
  /** Told of what is parked. Default: nobody is. */
  readonly parkings?: ParkingWatch
}

/** Reduces entries into the store's tables, inside the transaction that also saves how far it came. */
export class TableWriter {
  readonly #state: RootState
  readonly #projections: Pick<ProjectionRunner, 'apply'>
  readonly #log: EventLogAppender
  readonly #streams = new StreamAppender()
  /** In the order in which they were asked for. */
  readonly #removals: Removal[]
  readonly #migrations: MigrationTables
  readonly #parkings: ParkingWatch | null
  readonly keys: KeyDeletions

  constructor(
    { state, store, parkings }: TableWriterOptions,
    projections: Pick<ProjectionRunner, 'apply'>,
    nextPosition: number,
  ) {
    this.#parkings = parkings ?? null
    this.#state = state
    this.#projections = projections
    this.#log = new EventLogAppender(nextPosition)
    this.#removals = listRemovals(store)
    this.#migrations = new MigrationTables(store)
    this.keys = new KeyDeletions(store)
  }

  apply(batch: WriteBatch, b: Buffer, o: number): void {
    switch (codeOf(b, o)) {
      case actionCodes['command/received']:
        if (reduce(this.#state, b, o) === 0 && (flagsOf(b, o) & entryFlags.idempotencyKey) !== 0)
          this.#saveKey(batch, b, o)
        return
      case actionCodes['command/completed']:
        reduce(this.#state, b, o)
        this.#completed(batch, b, o)
        return
      case actionCodes['workflow/advanced']:
        reduce(this.#state, b, o)
        if (eventCountOf(b, o) > 0) this.#append(batch, b, o)
        return
      case actionCodes['command/rejected']:
        reduce(this.#state, b, o)
        putOutcome(batch, referenceOf(b, o), b, o, null)
        return
      case actionCodes['command/parked']:
        this.#parked(batch, b, o)
        reduce(this.#state, b, o)
        return
      case actionCodes['command/retried']:
        reduce(this.#state, b, o)
        // Where it is not: it was drafted in a form of before a migration's switch, and stays parked.
        if (this.#state.commands.byLsn.has(referenceOf(b, o))) deleteParked(batch, referenceOf(b, o))
        return
      case actionCodes['command/skipped']:
        reduce(this.#state, b, o)
        putSkipped(batch, referenceOf(b, o), b, o)
        deleteParked(batch, referenceOf(b, o))
        return
      case actionCodes['idempotency-key/deleted']:
        reduce(this.#state, b, o)
        this.keys.begin(batch, (payloadOf(b, o) as { untilMs: number }).untilMs, this.#state.idempotency.expiredUntilMs)
        return
      case actionCodes['stream/closed']:
        reduce(this.#state, b, o)
        this.#closed(batch, b, o)
        return
      case actionCodes['stream/archived']:
        reduce(this.#state, b, o)
        this.#archived(batch, b, o)
        return
      case actionCodes['stream/deleted']: {
        const isVoid = isVoidDeletion(this.#state, b, o)
        reduce(this.#state, b, o)
        if (!isVoid) this.#deleted(batch, b, o)
        return
      }
      case actionCodes['stream/migrated']:
      case actionCodes['stream/migration-finalised']:
      case actionCodes['stream/migration-abandoned']:
        this.#migrations.apply(batch, this.#state, b, o)
        return
      default:
        reduce(this.#state, b, o)
    }
  }

  get isRemoving(): boolean {
    return this.#removals.length > 0
  }

  /** A portion of what was deleted leaves the store. Before anything is applied in a transaction: it looks at what is put. */
  removeSome(batch: WriteBatch): void {
    const [removal] = this.#removals
    if (removal === undefined) return
    const rest = removePortion(batch, removal)
    if (rest === null) this.#removals.shift()
    else this.#removals[0] = rest
  }

  /** A copy of a migration that is over is still being cleared away. */
  get isClearing(): boolean {
    return this.#migrations.isAtWork
  }

  clearing(): CopySlice | null {
    return this.#migrations.slice()
  }

  clear(batch: WriteBatch, slice: CopySlice): void {
    this.#migrations.applySlice(batch, slice)
  }

  finish(batch: WriteBatch): void {
    this.#log.finish(batch)
    this.#streams.finish(batch)
  }

  #saveKey(batch: WriteBatch, b: Buffer, o: number): void {
    const { key } = (envelopeOf(b, o) as { idempotencyKey: { readonly key: string } }).idempotencyKey
    const record = this.#state.idempotency.recentKeys.get(key)
    assert(record?.lsn === lsnOf(b, o), `the state has saved the key of entry ${lsnOf(b, o)}`)
    putKey(batch, key, record)
  }

  #completed(batch: WriteBatch, b: Buffer, o: number): void {
    const eventCount = eventCountOf(b, o)
    if (eventCount === 0) {
      putOutcome(batch, referenceOf(b, o), b, o, null)
      return
    }
    putOutcome(batch, referenceOf(b, o), b, o, this.#append(batch, b, o))
  }

  /** The events of an entry go into the log, their stream, and whatever follows from them. */
  #append(batch: WriteBatch, b: Buffer, o: number): ReturnType<EventLogAppender['add']> {
    const eventCount = eventCountOf(b, o)
    const place = this.#log.add(batch, b, o)
    const key = keyOf(b, o)
    const before = this.#streams.append(batch, key, lsnOf(b, o), eventCount, place)
    assert(
      before === revisionOf(b, o),
      `entry ${lsnOf(b, o)}: ${key} is at revision ${before}, not ${revisionOf(b, o)}`,
    )
    const snapshot = snapshotOf(b, o)
    if (snapshot !== null) putSnapshot(batch, key, { ...snapshot, revision: before + eventCount, lsn: lsnOf(b, o) })
    if ((flagsOf(b, o) & entryFlags.indexed) !== 0) {
      for (const event of eventsOf(b, o) as WorkflowEvent[]) {
        indexWorkflowEvent(batch, key, event, lsnOf(b, o))
        this.#parkings?.workflowEvent(key, event)
      }
    }
    this.#projections.apply(batch, b, o, place.block + place.delta)
    return place
  }

  /** Of several the first one counts, and a stream that was deleted stays so. */
  #closed(batch: WriteBatch, b: Buffer, o: number): void {
    const key = keyOf(b, o)
    const life = readLifeInBatch(batch, key)
    if (life.closedLsn === 0) putLife(batch, key, { ...life, closedLsn: lsnOf(b, o) })
  }

  #deleted(batch: WriteBatch, b: Buffer, o: number): void {
    const key = keyOf(b, o)
    const life = readLifeInBatch(batch, key)
    if (life.deletedLsn !== 0) return
    this.#streams.finish(batch)
    const at = lsnOf(b, o)
    const last = revisionInBatch(batch, key)
    const ends = { closedLsn: referenceOf(b, o), deletedLsn: at, lastRevision: last }
    putLife(batch, key, { ...life, ...ends, archives: [] })
    for (const { lsn: archive } of life.archives) deleteArchivedRange(batch, archive)
    deleteSnapshot(batch, key)
    if (isWorkflowKey(key)) deleteWorkflowRecord(batch, key)
    this.#streams.forget(key)
    this.#remove(batch, { lsn: at, key, next: archivedUpTo(life) + 1, last, archive: 0, ends: true })
  }

  /** Void when it does not follow what is archived already, as after two askings at once. */
  #archived(batch: WriteBatch, b: Buffer, o: number): void {
    const key = keyOf(b, o)
    const at = lsnOf(b, o)
    const { from, upTo, lastLsn, object, digest, snapshot } = payloadOf(b, o) as StreamArchived
    const life = readLifeInBatch(batch, key)
    this.#streams.finish(batch)
    const fits = life.deletedLsn === 0 && from === archivedUpTo(life) + 1 && upTo <= revisionInBatch(batch, key)
    if (!fits) return
    putLife(batch, key, { ...life, archives: [...life.archives, { lsn: at, from, upTo, lastLsn }] })
    putArchivedRange(batch, { lsn: at, key, from, upTo, lastLsn, object, digest })
    const known = readSnapshotInBatch(batch, key)
    if (snapshot !== null && (known === null || known.revision <= snapshot.revision)) {
      // As old as the events that it stands for: a migration's switch after them makes it void.
      putSnapshot(batch, key, { ...snapshot, lsn: lastLsn })
    }
    this.#remove(batch, { lsn: at, key, next: from, last: upTo, archive: at, ends: false })
  }

  #remove(batch: WriteBatch, removal: Removal): void {
    putRemoval(batch, removal)
    this.#removals.push(removal)
  }

  #parked(batch: WriteBatch, b: Buffer, o: number): void {
    const command = this.#state.commands.byLsn.get(referenceOf(b, o))
    this.#parkings?.command(b, o, command ?? null)
    if (command?.source != null) {
      const { source, at } = command
      putParked(batch, command.lsn, source.subarray(at, entryEnd(source, at)))
    }
    putOutcome(batch, referenceOf(b, o), b, o, null)
  }
}
