import type { EventDraft } from '../actions/action.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { DroppedTimer, WorkflowEvent } from '../workflows/workflow-events.ts'
import { timeoutOperation } from '../workflows/workflow-state.ts'
import type { TimerQueue } from './timer-queue.ts'

/** What the events of the entry `at` say of timers. */
export function noteTimers(timers: TimerQueue, key: string, events: readonly EventDraft[], at: Lsn): void {
  for (const event of events) noteTimer(timers, key, event as WorkflowEvent, at)
}

function noteTimer(timers: TimerQueue, key: string, { type, data }: WorkflowEvent, startedLsn: Lsn): void {
  switch (type) {
    case 'workflow/started': {
      const { timeoutAtMs: dueMs, atMs } = data
      if (dueMs !== null) timers.add({ key, operation: timeoutOperation, dueMs, isAbsolute: false, startedLsn }, atMs)
      return
    }
    case 'timer/started': {
      const { operation, dueMs, atMs } = data
      timers.add({ key, operation, dueMs, isAbsolute: data.isAbsolute === true, startedLsn }, atMs)
      return
    }
    case 'request/failed': {
      const { operation, retryAtMs: dueMs, atMs, isTimer } = data
      if (isTimer && dueMs !== null) timers.add({ key, operation, dueMs, isAbsolute: false, startedLsn }, atMs)
      return
    }
    case 'timer/fired':
    case 'timer/cancelled':
      timers.remove({ key, operation: data.operation, dueMs: data.dueMs }, startedLsn)
      removeAll(timers, key, 'timers' in data ? (data.timers ?? []) : [], startedLsn)
      return
    case 'workflow/continued':
    case 'workflow/completed':
    case 'workflow/failed':
    case 'workflow/cancelled':
    case 'workflow/cancel-requested':
      removeAll(timers, key, data.timers, startedLsn)
      return
    default:
  }
}

function removeAll(timers: TimerQueue, key: string, dropped: readonly DroppedTimer[], at: Lsn): void {
  for (const [operation, dueMs] of dropped) timers.remove({ key, operation, dueMs }, at)
}
