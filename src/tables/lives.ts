import { pack, unpack } from '../actions/message-pack.ts'
import { type Lsn, noLsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { encodeKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/** What has become of a stream; most have no record, and are open. */
export interface StreamLife {
  /** The `stream/closed` entry; 0 while it is open. */
  readonly closedLsn: Lsn
  /** The `stream/deleted` entry; 0 while it is there. */
  readonly deletedLsn: Lsn
  /** The last revision that it had when it was deleted. */
  readonly lastRevision: number
  /** What of it lies in the archive, one range behind the other from revision 1 on. */
  readonly archives: readonly {
    readonly lsn: Lsn
    readonly from: number
    readonly upTo: number
    readonly lastLsn: Lsn
  }[]
}

export const openLife: StreamLife = { closedLsn: noLsn, deletedLsn: noLsn, lastRevision: 0, archives: [] }

/** The last revision that lies in the archive; 0 when none does. */
export const archivedUpTo = ({ archives }: StreamLife): number => archives.at(-1)?.upTo ?? 0

export function putLife(batch: WriteBatch, key: string, life: StreamLife): void {
  batch.put(tableNames.lives, encodeKey(key), pack(life))
}

export const readLife = (store: KeyValueStore, key: string): StreamLife =>
  decode(store.table(tableNames.lives).get(encodeKey(key)))

export const readLifeInBatch = (batch: WriteBatch, key: string): StreamLife =>
  decode(batch.get(tableNames.lives, encodeKey(key)))

const decode = (value: Buffer | undefined): StreamLife =>
  value === undefined ? openLife : (unpack(value, 0, value.length) as StreamLife)
