import type { IdempotencyKey } from '../actions/action.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'
import type { KeyLookup, KeyRecord } from '../state/idempotency.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { decodeKey, encodeKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

const recordBytes = 32

export function putKey(batch: WriteBatch, { key, digest }: IdempotencyKey, command: Lsn, expiresAtMs: number): void {
  const value = Buffer.alloc(recordBytes)
  writeUint64(value, command, 0)
  writeUint64(value, expiresAtMs, 8)
  value.set(digest, 16)
  batch.put(tableNames.keys, encodeKey(key), value)
  batch.put(tableNames.expiries, encodeKey(expiresAtMs, key), Buffer.alloc(0))
}

const recordOf = (value: Buffer): KeyRecord => ({
  lsn: lsn(readUint64(value, 0)),
  expiresAtMs: readUint64(value, 8),
  digest: value.subarray(16, recordBytes),
})

export function keyLookup(store: KeyValueStore): KeyLookup {
  const keys = store.table(tableNames.keys)
  const lookup = (key: string): KeyRecord | undefined => {
    const value = keys.get(encodeKey(key))
    return value === undefined ? undefined : recordOf(value)
  }
  return Object.assign(lookup, { refresh: () => store.refresh() })
}

/** Look-ups of the process that writes the store: inside a transaction they see what it has put so far. */
export class WriterKeyLookup {
  readonly #committed: KeyLookup
  #batch: WriteBatch | null = null

  constructor(store: KeyValueStore) {
    this.#committed = keyLookup(store)
  }

  readonly lookup: KeyLookup = (key) => {
    if (this.#batch === null) return this.#committed(key)
    const value = this.#batch.get(tableNames.keys, encodeKey(key))
    return value === undefined ? undefined : recordOf(value)
  }

  /** Between here and `leave` look-ups go through the batch. */
  enter(batch: WriteBatch): void {
    this.#batch = batch
  }

  leave(): void {
    this.#batch = null
  }
}

/** Deleted at most in one transaction; the rest follows with the next `idempotency-key/deleted`. */
const deletedMax = 50_000

/** Keys that expired up to `untilMs`. Read before the transaction, since a range must not be read inside it. */
export function expiredKeys(
  store: KeyValueStore,
  untilMs: number,
): { readonly expiry: Buffer; readonly key: string }[] {
  const to = encodeKey(untilMs + 1)
  const expired: { readonly expiry: Buffer; readonly key: string }[] = []
  for (const { key: expiry } of store.table(tableNames.expiries).range({ to, limit: deletedMax })) {
    expired.push({ expiry, key: decodeKey(expiry, ['number', 'string'])[1] as string })
  }
  return expired
}

export function deleteExpired(batch: WriteBatch, expired: ReturnType<typeof expiredKeys>, untilMs: number): void {
  for (const { expiry, key } of expired) {
    batch.delete(tableNames.expiries, expiry)
    // The key may have been used again since: then it has a newer expiry of its own.
    const value = batch.get(tableNames.keys, encodeKey(key))
    if (value !== undefined && recordOf(value).expiresAtMs <= untilMs) batch.delete(tableNames.keys, encodeKey(key))
  }
}
