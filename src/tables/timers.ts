import { lsn } from '../kernel/identifiers.ts'
import type { KeyValueStore, WriteBatch } from '../store/key-value-store.ts'
import { decodeKey, encodeKey, readKeyNumber, writeKeyNumber } from '../store/keys.ts'
import type { StoredTimer, TimerPlace } from '../workflows/workflow-timers.ts'
import { tableNames } from './table-names.ts'

export type { StoredTimer } from '../workflows/workflow-timers.ts'

const relative = 0
const absolute = 1

const keyFor = ({ dueMs, key, operation }: TimerPlace): Buffer => encodeKey(dueMs, key, operation)

export function putTimer(batch: WriteBatch, timer: StoredTimer): void {
  const value = Buffer.alloc(9)
  value[0] = timer.isAbsolute ? absolute : relative
  writeKeyNumber(value, timer.startedLsn, 1)
  batch.put(tableNames.timers, keyFor(timer), value)
}

export function deleteTimer(batch: WriteBatch, timer: TimerPlace): void {
  batch.delete(tableNames.timers, keyFor(timer))
}

/** The timers that are due first, in their order: behind one of them, which need not be there any more. */
export function readTimers(store: KeyValueStore, after: TimerPlace | null, limit: number): StoredTimer[] {
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
