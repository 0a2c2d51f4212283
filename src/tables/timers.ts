import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { decodeKey, encodeKey } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/** A timer that a workflow waits for. */
export interface StoredTimer {
  /** Aggregate key of the workflow. */
  readonly key: string
  readonly operation: string
  readonly dueMs: number
  /** At a time of the wall clock, not after so long. */
  readonly isAbsolute: boolean
}

const relative = Buffer.of(0)
const absolute = Buffer.of(1)

const keyFor = (dueMs: number, key: string, operation: string): Buffer => encodeKey(dueMs, key, operation)

export function putTimer(batch: WriteBatch, { key, operation, dueMs, isAbsolute }: StoredTimer): void {
  batch.put(tableNames.timers, keyFor(dueMs, key, operation), isAbsolute ? absolute : relative)
}

export function deleteTimer(batch: WriteBatch, key: string, operation: string, dueMs: number): void {
  batch.delete(tableNames.timers, keyFor(dueMs, key, operation))
}

/** The timers that are due first, in their order. */
export function readTimers(store: KeyValueStore, limit: number): StoredTimer[] {
  return [...store.table(tableNames.timers).range({ limit })].map(({ key: bytes, value }) => {
    const [dueMs, key, operation] = decodeKey(bytes, ['number', 'string', 'string']) as [number, string, string]
    return { key, operation, dueMs, isAbsolute: value[0] === absolute[0] }
  })
}
