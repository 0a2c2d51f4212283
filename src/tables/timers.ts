import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { decodeKey, encodeKey, readKeyNumber, writeKeyNumber } from '../store/keys.ts'
import { tableNames } from './table-names.ts'

/** Where a timer lies. */
export interface TimerKey {
  readonly dueMs: number
  /** Aggregate key of the workflow. */
  readonly key: string
  readonly operation: string
}

/** A timer that a workflow waits for. */
export interface StoredTimer extends TimerKey {
  /** At a time of the wall clock, not after so long. */
  readonly isAbsolute: boolean
  /** The entry that started it. */
  readonly startedLsn: Lsn
}

const relative = 0
const absolute = 1

const keyFor = ({ dueMs, key, operation }: TimerKey): Buffer => encodeKey(dueMs, key, operation)

export function putTimer(batch: WriteBatch, timer: StoredTimer): void {
  const value = Buffer.alloc(9)
  value[0] = timer.isAbsolute ? absolute : relative
  writeKeyNumber(value, timer.startedLsn, 1)
  batch.put(tableNames.timers, keyFor(timer), value)
}

export function deleteTimer(batch: WriteBatch, timer: TimerKey): void {
  batch.delete(tableNames.timers, keyFor(timer))
}

/** The timers that are due first, in their order: behind one of them, which need not be there any more. */
export function readTimers(store: KeyValueStore, after: TimerKey | null, limit: number): StoredTimer[] {
  const passed = after === null ? null : keyFor(after)
  const timers: StoredTimer[] = []
  for (const { key: bytes, value } of store.table(tableNames.timers).range(passed === null ? {} : { from: passed })) {
    if (timers.length === limit) break
    if (passed?.equals(bytes) === true) continue
    const [dueMs, key, operation] = decodeKey(bytes, ['number', 'string', 'string']) as [number, string, string]
    timers.push({ key, operation, dueMs, isAbsolute: value[0] === absolute, startedLsn: lsn(readKeyNumber(value, 1)) })
  }
  return timers
}
