import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { KeyLookup, KeyRecord } from '../state/idempotency.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { decodeKey, encodeKey, numberKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/**
 * What the store keeps of a key: the command that used it last, and behind that the one that had used it before, until
 * what expired then is deleted. Whoever is behind by less than that finds what was so at his entry.
 */
const recordBytes = 32
const deletedUntilKey = encodeKey('keysDeletedUntil')

export function putKey(batch: WriteBatch, key: string, { lsn: command, expiresAtMs, digest }: KeyRecord): void {
  const id = encodeKey(key)
  const before = batch.get(tableNames.keys, id)
  const value = Buffer.alloc(before === undefined ? recordBytes : 2 * recordBytes)
  writeUint64(value, command, 0)
  writeUint64(value, expiresAtMs, 8)
  value.set(digest, 16)
  before?.copy(value, recordBytes, 0, recordBytes)
  batch.put(tableNames.keys, id, value)
  batch.put(tableNames.expiries, encodeKey(expiresAtMs, key), Buffer.alloc(0))
}

function recordAt(value: Buffer, offset: number): KeyRecord {
  return {
    lsn: lsn(readUint64(value, offset)),
    expiresAtMs: readUint64(value, offset + 8),
    digest: value.subarray(offset + 16, offset + recordBytes),
  }
}

/** The latest use of the key, expired or not. */
export function readKey(store: KeyValueStore, key: string): KeyRecord | undefined {
  const value = store.table(tableNames.keys).get(encodeKey(key))
  return value === undefined ? undefined : recordAt(value, 0)
}

type Get = (table: string, key: Buffer) => Buffer | undefined

function find(get: Get, key: string, at: Lsn, expiredUntilMs: number): KeyRecord | undefined {
  const value = get(tableNames.keys, encodeKey(key))
  let isReplaced = false
  if (value !== undefined) {
    const last = recordAt(value, 0)
    if (last.lsn < at) return last
    if (value.length > recordBytes) {
      const before = recordAt(value, recordBytes)
      if (before.lsn < at) return before
      isReplaced = true
    }
  }
  if (isReplaced || deletedUntilMsOf(get) > expiredUntilMs) throw forgotten(key, at)
  return undefined
}

function forgotten(key: string, at: Lsn): CommanderError {
  const what = `whether the idempotency key "${key}" was known at entry ${at} can no longer be told`
  const why = 'keys have expired since, and were deleted: this process was too far behind'
  return new CommanderError('stale_state', `${what}; ${why}`, { retryable: true })
}

export function keyLookup(store: KeyValueStore): KeyLookup {
  const get: Get = (table, key) => store.table(table).get(key)
  const lookup = (key: string, at: Lsn, expiredUntilMs: number): KeyRecord | undefined =>
    find(get, key, at, expiredUntilMs)
  return Object.assign(lookup, { refresh: () => store.refresh() })
}

/** Look-ups of the process that writes the store: inside a transaction they see what it has put so far. */
export class WriterKeyLookup {
  readonly #committed: KeyLookup
  #batch: WriteBatch | null = null

  constructor(store: KeyValueStore) {
    this.#committed = keyLookup(store)
  }

  readonly lookup: KeyLookup = (key, at, expiredUntilMs) => {
    const batch = this.#batch
    if (batch === null) return this.#committed(key, at, expiredUntilMs)
    return find((table, id) => batch.get(table, id), key, at, expiredUntilMs)
  }

  /** Between here and `leave` look-ups go through the batch. */
  enter(batch: WriteBatch): void {
    this.#batch = batch
  }

  leave(): void {
    this.#batch = null
  }
}

/** Keys whose time ended up to here are deleted, or about to be: no process can rely on them any more. */
export function putDeletedUntilMs(batch: WriteBatch, untilMs: number): void {
  batch.put(tableNames.meta, deletedUntilKey, numberKey(untilMs))
}

function deletedUntilMsOf(get: Get): number {
  const value = get(tableNames.meta, deletedUntilKey)
  return value === undefined ? 0 : Number(value.readBigUInt64BE(0))
}

/** 0 before anything was. */
export function readDeletedUntilMs(store: KeyValueStore): number {
  return deletedUntilMsOf((table, key) => store.table(table).get(key))
}

export interface ExpiredKey {
  readonly expiry: Buffer
  readonly key: string
}

/** The first keys of those that expired up to `untilMs`. Read before the transaction, since a range must not be read inside it. */
export function expiredKeys(store: KeyValueStore, untilMs: number, limit: number): readonly ExpiredKey[] {
  const expired: ExpiredKey[] = []
  for (const { key: expiry } of store.table(tableNames.expiries).range({ to: encodeKey(untilMs + 1), limit })) {
    expired.push({ expiry, key: decodeKey(expiry, ['number', 'string'])[1] as string })
  }
  return expired
}

export function deleteExpired(batch: WriteBatch, expired: readonly ExpiredKey[], untilMs: number): void {
  for (const { expiry, key } of expired) {
    batch.delete(tableNames.expiries, expiry)
    const id = encodeKey(key)
    const value = batch.get(tableNames.keys, id)
    if (value === undefined) continue
    if (recordAt(value, 0).expiresAtMs <= untilMs) batch.delete(tableNames.keys, id)
    else if (value.length > recordBytes && recordAt(value, recordBytes).expiresAtMs <= untilMs)
      batch.put(tableNames.keys, id, value.subarray(0, recordBytes)) // it was used again
  }
}
