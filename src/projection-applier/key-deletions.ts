import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import {
  deleteExpired,
  type ExpiredKey,
  expiredKeys,
  putDeletedUntilMs,
  readDeletedUntilMs,
} from '../tables/idempotency-keys.ts'

/** Keys that one transaction deletes at most: some milliseconds of work. */
const portionKeys = 2000

/** What one transaction deletes. */
export type ExpiredPortion = readonly ExpiredKey[]

/**
 * Deletes keys of which an entry has said that they are to go, a portion a transaction, since millions may expire at
 * once. How far they are to go is in the store: after a crash the rest goes.
 */
export class KeyDeletions {
  readonly #store: KeyValueStore
  #untilMs: number
  #isAtWork: boolean

  constructor(store: KeyValueStore) {
    this.#store = store
    this.#untilMs = readDeletedUntilMs(store)
    this.#isAtWork = this.#untilMs > 0
  }

  /** Something may be left to delete. */
  get isAtWork(): boolean {
    return this.#isAtWork
  }

  /** An entry says so. What still counts stays, whatever it says. */
  begin(batch: WriteBatch, untilMs: number, expiredUntilMs: number): void {
    const goal = Math.min(untilMs, expiredUntilMs)
    if (goal <= this.#untilMs) return
    this.#untilMs = goal
    this.#isAtWork = true
    putDeletedUntilMs(batch, goal)
  }

  /** What the next transaction deletes: to be asked before it, since a range must not be read inside it. */
  portion(): ExpiredPortion {
    if (!this.#isAtWork) return []
    const expired = expiredKeys(this.#store, this.#untilMs, portionKeys)
    this.#isAtWork = expired.length > 0
    return expired
  }

  /** First thing in the transaction: a key that it saves anew has been looked for among what was there before. */
  delete(batch: WriteBatch, portion: ExpiredPortion): void {
    deleteExpired(batch, portion, this.#untilMs)
  }
}
