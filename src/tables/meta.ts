import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import { emptyRoot, type RootOptions, type RootState } from '../state/root.ts'
import { decodeRoot } from '../state/snapshot.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

const appliedKey = encodeKey('applied')
const rootKey = encodeKey('root')
const archivedKey = encodeKey('archived')
const checkpointKey = encodeKey('checkpoint')

/** How far the store is: saved in the same transaction as everything up to there. */
export interface StorePosition {
  readonly applied: Lsn
  readonly globalPosition: number
}

export function putPosition(batch: WriteBatch, { applied, globalPosition }: StorePosition): void {
  const value = Buffer.allocUnsafe(16)
  writeUint64(value, applied, 0)
  writeUint64(value, globalPosition, 8)
  batch.put(tableNames.meta, appliedKey, value)
}

export function readPosition(store: KeyValueStore): StorePosition {
  const value = store.table(tableNames.meta).get(appliedKey)
  if (value === undefined) return { applied: lsn(0), globalPosition: 0 }
  return { applied: lsn(readUint64(value, 0)), globalPosition: readUint64(value, 8) }
}

/** A root of this LSN or a later one is in the store. */
export function putCheckpoint(batch: WriteBatch, upTo: Lsn): void {
  const value = Buffer.allocUnsafe(8)
  writeUint64(value, upTo, 0)
  batch.put(tableNames.meta, checkpointKey, value)
}

/** 0 when none was taken yet. */
export function readCheckpoint(store: KeyValueStore): Lsn {
  const value = store.table(tableNames.meta).get(checkpointKey)
  return lsn(value === undefined ? 0 : readUint64(value, 0))
}

/** What the database remembers of its archive; whoever archives knows what it says. */
export function putArchived(batch: WriteBatch, memory: object): void {
  batch.put(tableNames.meta, archivedKey, Buffer.from(JSON.stringify(memory)))
}

export function readArchived(store: KeyValueStore): object | null {
  const value = store.table(tableNames.meta).get(archivedKey)
  return value === undefined ? null : (JSON.parse(value.toString('utf8')) as object)
}

export function putRoot(batch: WriteBatch, root: Buffer): void {
  batch.put(tableNames.meta, rootKey, root)
}

/** The state to start a child from; entries after its LSN are then followed from the journal. */
export function readRoot(store: KeyValueStore, options: RootOptions): RootState {
  const value = store.table(tableNames.meta).get(rootKey)
  return value === undefined ? emptyRoot(options) : decodeRoot(value, options)
}
