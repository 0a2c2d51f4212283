import { pack, unpack } from '../actions/message-pack.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey, prefixRange } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/** How far a projection is, saved with the rows that it brought about. */
export interface ProjectionProgress {
  /** The version whose rows answer reads; null while the first build is under way. */
  readonly live: number | null
  /** A version being built from the first event, and the position up to which it has been. */
  readonly building: { readonly version: number; readonly position: number } | null
  /** A handler threw: the rows stay as they were at this position until the version is raised or a rebuild is asked for. */
  readonly failed: { readonly version: number; readonly position: number; readonly message: string } | null
}

const rowKey = (name: string, version: number, key: string): Buffer => encodeKey(name, version, key)

export const readRow = (store: KeyValueStore, name: string, version: number, key: string): unknown =>
  decode(store.table(tableNames.rows).get(rowKey(name, version, key)))

export const readRowInBatch = (batch: WriteBatch, name: string, version: number, key: string): unknown =>
  decode(batch.get(tableNames.rows, rowKey(name, version, key)))

export function putRow(batch: WriteBatch, name: string, version: number, key: string, row: unknown): void {
  batch.put(tableNames.rows, rowKey(name, version, key), pack(row))
}

export function deleteRow(batch: WriteBatch, name: string, version: number, key: string): void {
  batch.delete(tableNames.rows, rowKey(name, version, key))
}

/** Keys of up to `limit` rows of a version, to be deleted. */
export function rowKeys(store: KeyValueStore, name: string, version: number, limit: number): Buffer[] {
  const range = store.table(tableNames.rows).range({ ...prefixRange(encodeKey(name, version)), limit })
  return [...range].map(({ key }) => key)
}

export function readProgress(store: KeyValueStore, name: string): ProjectionProgress | null {
  return decode(store.table(tableNames.projections).get(encodeKey(name))) as ProjectionProgress | null
}

export function listProgress(store: KeyValueStore): { readonly name: string; readonly progress: ProjectionProgress }[] {
  return [...store.table(tableNames.projections).range({})].map(({ key, value }) => ({
    name: key.subarray(0, key.length - 1).toString('utf8'),
    progress: decode(value) as ProjectionProgress,
  }))
}

export function putProgress(batch: WriteBatch, name: string, progress: ProjectionProgress): void {
  batch.put(tableNames.projections, encodeKey(name), pack(progress))
}

const decode = (value: Buffer | undefined): unknown => (value === undefined ? null : unpack(value, 0, value.length))
