import type { StreamMigrated } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { payloadOf } from '../actions/decode.ts'
import { codeOf, lsnOf } from '../actions/entry-layout.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { follows, type MigrationState, migrationOf, type RewrittenForm } from '../state/migrations.ts'
import { type RootState, reduce } from '../state/root.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { type LogBlock, putRebuilt, rewriteBlock, storedBlocks } from '../tables/event-log.ts'
import {
  deleteRewritten,
  putMigrations,
  putRewritten,
  readMigrations,
  readRewritten,
  rewrittenKey,
  rewrittenKeys,
  type StoredCopy,
  type StoredMigrations,
} from '../tables/migrations.ts'
import { hasParkedInBatch, putParked } from '../tables/outcomes.ts'

/** Blocks that one transaction puts into the log for good, and rows of an abandoned copy that it deletes. */
const sliceBlocks = 16
const sliceRows = 5000

/** What one transaction does for a copy that is being cleared away; read before it, since a transaction must not read ranges. */
export interface CopySlice {
  readonly copy: StoredCopy
  readonly rebuilt: readonly LogBlock[]
  readonly rows: readonly Buffer[]
  /** The position that it comes to; null when nothing of the copy is left. */
  readonly position: number | null
}

/** The store's part of migrations: rewritten copies, the record that readers go by, and the clearing away. */
export class MigrationTables {
  readonly #store: KeyValueStore
  #record: StoredMigrations

  constructor(store: KeyValueStore) {
    this.#store = store
    this.#record = readMigrations(store)
  }

  /** Folds an entry of a migration into state and tables. */
  apply(batch: WriteBatch, state: RootState, b: Buffer, o: number): void {
    const action = payloadOf(b, o) as StreamMigrated
    const migration = migrationOf(state.migrations, action.aggregateType, action.migration)
    if (migration === undefined) {
      reduce(state, b, o)
    } else if (codeOf(b, o) === actionCodes['stream/migrated']) this.#step(batch, state, b, o, action, migration)
    else this.#over(batch, state, b, o, migration)
  }

  #step(
    batch: WriteBatch,
    state: RootState,
    b: Buffer,
    o: number,
    action: StreamMigrated,
    migration: MigrationState,
  ): void {
    const { step } = action
    if (step.phase === 'rewritten') {
      const isNext = follows(migration, step)
      reduce(state, b, o)
      if (!isNext) return
      for (const [position, events] of step.events) putRewritten(batch, migration.startedLsn, position, events)
      return
    }
    const commands = [...migration.commands]
    reduce(state, b, o)
    if (migration.switchedLsn === lsnOf(b, o)) this.#switched(batch, state, migration, commands)
  }

  #switched(
    batch: WriteBatch,
    state: RootState,
    { type, toVersion, startedLsn, copied, switchedLsn }: MigrationState,
    commands: readonly (readonly [Lsn, RewrittenForm])[],
  ): void {
    for (const [command, { source }] of commands) {
      const isParked = !state.commands.byLsn.has(command) && hasParkedInBatch(batch, command)
      if (isParked && source !== null) putParked(batch, command, source)
    }
    const copy = { migration: startedLsn, type, toVersion, status: 'switched' as const, position: 0, until: copied }
    this.#put(batch, [...this.#record.copies, copy], [type, switchedLsn])
  }

  #over(batch: WriteBatch, state: RootState, b: Buffer, o: number, migration: MigrationState): void {
    const { type, toVersion, startedLsn, switchedLsn, copied } = migration
    reduce(state, b, o)
    if (state.migrations.byType.get(type) === migration) return
    const isAbandoned = codeOf(b, o) === actionCodes['stream/migration-abandoned']
    const status = isAbandoned ? ('abandoned' as const) : ('finalising' as const)
    const copy = { migration: startedLsn, type, toVersion, status, position: 0, until: copied }
    const others = this.#record.copies.filter((other) => other.migration !== startedLsn)
    this.#put(batch, [...others, copy], isAbandoned && switchedLsn !== 0 ? [type, lsnOf(b, o)] : null)
  }

  get isAtWork(): boolean {
    return this.#record.copies.some(({ status }) => status !== 'switched')
  }

  slice(): CopySlice | null {
    const copy = this.#record.copies.find(({ status }) => status !== 'switched')
    if (copy === undefined) return null
    this.#store.refresh()
    return copy.status === 'abandoned' ? this.#deletion(copy) : this.#portion(copy)
  }

  applySlice(batch: WriteBatch, { copy, rebuilt, rows, position }: CopySlice): void {
    for (const block of rebuilt) putRebuilt(batch, block)
    for (const key of rows) deleteRewritten(batch, key)
    const copies = this.#record.copies.flatMap((one) => {
      if (one.migration !== copy.migration) return [one]
      return position === null ? [] : [{ ...one, position }]
    })
    this.#put(batch, copies, null)
  }

  #deletion(copy: StoredCopy): CopySlice {
    const rows = rewrittenKeys(this.#store, copy.migration, sliceRows)
    return { copy, rebuilt: [], rows, position: rows.length < sliceRows ? null : 0 }
  }

  #portion(copy: StoredCopy): CopySlice {
    const rebuilt: LogBlock[] = []
    const rows: Buffer[] = []
    let { position } = copy
    let looked = 0
    for (const block of storedBlocks(this.#store, position + 1)) {
      const { lastPosition: last } = block
      if (last <= position) continue
      if (block.firstPosition > copy.until) return { copy, rebuilt, rows, position: null }
      if (looked++ === sliceBlocks) return { copy, rebuilt, rows, position }
      const now = rewriteBlock(this.#store, block, [copy])
      if (now !== block) rebuilt.push(now)
      const { migration } = copy
      for (const first of readRewritten(this.#store, migration, block.firstPosition, last).keys())
        rows.push(rewrittenKey(migration, first))
      position = last
    }
    return { copy, rebuilt, rows, position: null }
  }

  #put(batch: WriteBatch, copies: readonly StoredCopy[], since: readonly [string, Lsn] | null): void {
    const others = this.#record.snapshotsSince.filter(([type]) => type !== since?.[0])
    this.#record = { copies, snapshotsSince: since === null ? this.#record.snapshotsSince : [...others, since] }
    putMigrations(batch, this.#record)
  }
}
