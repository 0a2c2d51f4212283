import type { EventDraft } from '../actions/action.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { timeoutOperation } from '../workflows/workflow-state.ts'
import type { TimerQueue } from './timer-queue.ts'

/** What the events of the entry `at` say of timers. */
export function noteTimers(timers: TimerQueue, key: string, events: readonly EventDraft[], at: Lsn): void {
  for (const event of events) noteTimer(timers, key, event as WorkflowEvent, at)
}

function noteTimer(timers: TimerQueue, key: string, { type, data }: WorkflowEvent, at: Lsn): void {
  switch (type) {
    case 'workflow/started':
      if (data.timeoutAtMs !== null)
        timers.add({ key, operation: timeoutOperation, dueMs: data.timeoutAtMs, isAbsolute: false }, data.atMs, at)
      return
    case 'timer/started': {
      const { operation, dueMs, atMs } = data
      timers.add({ key, operation, dueMs, isAbsolute: data.isAbsolute === true }, atMs, at)
      return
    }
    case 'request/failed':
      if (data.isTimer && data.retryAtMs !== null)
        timers.add({ key, operation: data.operation, dueMs: data.retryAtMs, isAbsolute: false }, data.atMs, at)
      return
    case 'timer/fired':
    case 'timer/cancelled':
      timers.remove(key, data.operation, at)
      return
    case 'workflow/continued':
    case 'workflow/completed':
    case 'workflow/failed':
    case 'workflow/cancelled':
    case 'workflow/cancel-requested':
      for (const [operation] of data.timers) timers.remove(key, operation, at)
      return
    default:
  }
}
