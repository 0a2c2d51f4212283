import { pack, unpack } from '../actions/message-pack.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { numberKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/** Events of one stream that lie in the archive: what the entry `stream/archived` says of them. */
export interface ArchivedRange {
  readonly lsn: Lsn
  readonly key: string
  readonly from: number
  readonly upTo: number
  /** The completion that decided on the last of them. */
  readonly lastLsn: Lsn
  readonly object: string
  /** SHA-256 of the object's bytes, in hexadecimal digits. */
  readonly digest: string
}

export function putArchivedRange(batch: WriteBatch, range: ArchivedRange): void {
  batch.put(tableNames.archives, numberKey(range.lsn), pack(range))
}

export function deleteArchivedRange(batch: WriteBatch, lsn: number): void {
  batch.delete(tableNames.archives, numberKey(lsn))
}

/** Null when its stream was deleted. */
export function readArchivedRange(store: KeyValueStore, lsn: number): ArchivedRange | null {
  const value = store.table(tableNames.archives).get(numberKey(lsn))
  return value === undefined ? null : (unpack(value, 0, value.length) as ArchivedRange)
}
