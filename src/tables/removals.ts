import { pack, unpack } from '../actions/message-pack.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { numberKey, readKeyNumber } from '../store/keys.ts'
import { offsetsIn, punchHoles } from './log-block.ts'
import type { Pointer } from './pointer.ts'
import { deleteHead, takeChunk } from './streams.ts'
import { tableNames } from './table-names.ts'

/** Events of one stream that are to leave the store, a portion a transaction: there may be millions. */
export interface Removal {
  /** The entry that says so. */
  readonly lsn: Lsn
  readonly key: string
  /** First revision that is still there. */
  readonly next: number
  readonly last: number
  /** Where the events are from now on: the `stream/archived` entry; 0 when nowhere. */
  readonly archive: number
  /** The stream ends with it: its head goes too. */
  readonly ends: boolean
}

/** Revisions of which the pointers lie in one value. */
const portionChunks = 8

export function putRemoval(batch: WriteBatch, { lsn: at, ...rest }: Removal): void {
  batch.put(tableNames.removals, numberKey(at), pack(rest))
}

/** What was not finished when the process ended. */
export function listRemovals(store: KeyValueStore): Removal[] {
  return [...store.table(tableNames.removals).range({})].map(({ key, value }) => ({
    lsn: lsn(readKeyNumber(key, 0)),
    ...(unpack(value, 0, value.length) as Omit<Removal, 'lsn'>),
  }))
}

/**
 * Removes one portion, of some hundred events at most, in the transaction that also says how far it came: a crash
 * neither repeats nor leaves out any. @returns what is left, or null
 */
export function removePortion(batch: WriteBatch, removal: Removal): Removal | null {
  const { key, last, archive } = removal
  const pointersByBlock = new Map<number, Pointer[]>()
  let { next } = removal
  for (let chunk = 0; chunk < portionChunks && next <= last; chunk++) {
    const pointers = takeChunk(batch, key, next, last)
    if (pointers.length === 0) break
    next += pointers.length
    for (const pointer of pointers) {
      const others = pointersByBlock.get(pointer.block)
      if (others === undefined) pointersByBlock.set(pointer.block, [pointer])
      else others.push(pointer)
    }
  }
  for (const [block, pointers] of pointersByBlock) {
    const stored = batch.get(tableNames.log, numberKey(block))
    if (stored === undefined) continue
    batch.put(tableNames.log, numberKey(block), punchHoles(stored, offsetsIn(stored, pointers), archive))
  }
  if (next <= last && pointersByBlock.size > 0) {
    const rest = { ...removal, next }
    putRemoval(batch, rest)
    return rest
  }
  batch.delete(tableNames.removals, numberKey(removal.lsn))
  if (removal.ends) deleteHead(batch, key)
  return null
}
