import type { AggregateSnapshot } from '../actions/action.ts'
import { pack, unpack } from '../actions/message-pack.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

export interface StoredSnapshot extends AggregateSnapshot {
  readonly revision: number
  /** The entry that carried it; absent in stores of before migrations were. */
  readonly lsn?: number
}

export function putSnapshot(batch: WriteBatch, key: string, snapshot: StoredSnapshot): void {
  batch.put(tableNames.snapshots, encodeKey(key), pack(snapshot))
}

export function deleteSnapshot(batch: WriteBatch, key: string): void {
  batch.delete(tableNames.snapshots, encodeKey(key))
}

export function readSnapshotInBatch(batch: WriteBatch, key: string): StoredSnapshot | null {
  const value = batch.get(tableNames.snapshots, encodeKey(key))
  return value === undefined ? null : (unpack(value, 0, value.length) as StoredSnapshot)
}

export function readSnapshot(store: KeyValueStore, key: string): StoredSnapshot | null {
  const value = store.table(tableNames.snapshots).get(encodeKey(key))
  return value === undefined ? null : (unpack(value, 0, value.length) as StoredSnapshot)
}
