import { pack, unpack } from '../actions/message-pack.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey, prefixRange } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/** A rewritten copy of a type's events beside the old ones, which readers see or which is being cleared away. */
export interface StoredCopy {
  /** LSN of the entry that started its migration. */
  readonly migration: Lsn
  readonly type: string
  readonly toVersion: number
  /**
   * switched: readers take it instead of what is in the log. finalising: so they do, while it is put into the log.
   * abandoned: readers do not, and it is being deleted.
   */
  readonly status: 'switched' | 'finalising' | 'abandoned'
  /** Put into the log up to this position. */
  readonly position: number
  /** No event of an older version lies behind this position. */
  readonly until: number
}

/** What readers must know of migrations; put in the transaction of the entry that changes it. */
export interface StoredMigrations {
  readonly copies: readonly StoredCopy[]
  /** By type, the switch that made older snapshots void. */
  readonly snapshotsSince: readonly (readonly [type: string, at: Lsn])[]
}

export const noMigrations: StoredMigrations = { copies: [], snapshotsSince: [] }

const recordKey = encodeKey('migrations')

export function putMigrations(batch: WriteBatch, migrations: StoredMigrations): void {
  batch.put(tableNames.meta, recordKey, pack(migrations))
}

export function readMigrations(store: KeyValueStore): StoredMigrations {
  const value = store.table(tableNames.meta).view(recordKey)
  return value === undefined ? noMigrations : (unpack(value, 0, value.length) as StoredMigrations)
}

/** Decodes what readers must know of migrations only where it has changed: it is asked for with each block of the log. */
export class MigrationsReader {
  readonly #store: KeyValueStore
  #bytes: Buffer | null = null
  #known: StoredMigrations = noMigrations

  constructor(store: KeyValueStore) {
    this.#store = store
  }

  get(): StoredMigrations {
    const value = this.#store.table(tableNames.meta).view(recordKey)
    if (value === undefined) return noMigrations
    if (this.#bytes?.equals(value) !== true) {
      this.#bytes = Buffer.from(value)
      this.#known = unpack(this.#bytes, 0, this.#bytes.length) as StoredMigrations
    }
    return this.#known
  }
}

const rowKey = (migration: Lsn, firstPosition: number): Buffer => encodeKey(migration, firstPosition)

export function putRewritten(batch: WriteBatch, migration: Lsn, firstPosition: number, events: Uint8Array): void {
  batch.put(tableNames.rewritten, rowKey(migration, firstPosition), Buffer.from(events))
}

/** Rewritten events of entries whose first positions lie between two, by that position. */
export function readRewritten(
  store: KeyValueStore,
  migration: Lsn,
  from: number,
  to: number,
): ReadonlyMap<number, Buffer> {
  const range = { from: rowKey(migration, from), to: rowKey(migration, to + 1) }
  const rows = new Map<number, Buffer>()
  for (const { key, value } of store.table(tableNames.rewritten).range(range)) rows.set(positionOf(key), value)
  return rows
}

const positionOf = (key: Buffer): number => key.readUInt32BE(8) * 4294967296 + key.readUInt32BE(12)

/** Keys of up to `limit` rows of a migration, to be deleted. */
export function rewrittenKeys(store: KeyValueStore, migration: Lsn, limit: number): Buffer[] {
  const range = store.table(tableNames.rewritten).range({ ...prefixRange(encodeKey(migration)), limit })
  return [...range].map(({ key }) => key)
}

export function deleteRewritten(batch: WriteBatch, key: Buffer): void {
  batch.delete(tableNames.rewritten, key)
}

export const rewrittenKey: (migration: Lsn, firstPosition: number) => Buffer = rowKey
