import type { Lsn } from '../kernel/identifiers.ts'
import type { DroppedTimer, WorkflowEvent } from './workflow-events.ts'
import { timeoutOperation } from './workflow-state.ts'

/** Where a timer stands among all others, in the store as in memory. */
export interface TimerPlace {
  /** Wall time, in milliseconds. */
  readonly dueMs: number
  /** Aggregate key of the workflow. */
  readonly key: string
  readonly operation: string
}

/** A timer that a workflow waits for. */
export interface StoredTimer extends TimerPlace {
  /** At a time of the wall clock, not after so long. */
  readonly isAbsolute: boolean
  /** The entry that started it. */
  readonly startedLsn: Lsn
}

/** Who keeps timers. */
export interface TimerKeeper {
  /** A timer was started by an entry, at `startedAtMs` of the wall clock. */
  add(timer: StoredTimer, startedAtMs: number): void
  /** Fired, cancelled, or nobody's any more, by the entry `at`. */
  remove(place: TimerPlace, at: Lsn): void
}

/** What an event of the entry `at` says of timers. */
export function tellTimers(keeper: TimerKeeper, key: string, { type, data }: WorkflowEvent, at: Lsn): void {
  const startedLsn = at
  switch (type) {
    case 'workflow/started': {
      const { timeoutAtMs: dueMs, atMs } = data
      if (dueMs !== null) keeper.add({ key, operation: timeoutOperation, dueMs, isAbsolute: false, startedLsn }, atMs)
      return
    }
    case 'timer/started': {
      const { operation, dueMs, atMs } = data
      keeper.add({ key, operation, dueMs, isAbsolute: data.isAbsolute === true, startedLsn }, atMs)
      return
    }
    case 'request/failed': {
      const { operation, retryAtMs: dueMs, atMs, isTimer } = data
      if (isTimer && dueMs !== null) keeper.add({ key, operation, dueMs, isAbsolute: false, startedLsn }, atMs)
      return
    }
    case 'timer/fired':
    case 'timer/cancelled':
      keeper.remove({ key, operation: data.operation, dueMs: data.dueMs }, at)
      removeAll(keeper, key, 'timers' in data ? (data.timers ?? []) : [], at)
      return
    case 'workflow/continued':
    case 'workflow/completed':
    case 'workflow/failed':
    case 'workflow/cancelled':
    case 'workflow/cancel-requested':
      removeAll(keeper, key, data.timers, at)
      return
    default:
  }
}

function removeAll(keeper: TimerKeeper, key: string, dropped: readonly DroppedTimer[], at: Lsn): void {
  for (const [operation, dueMs] of dropped) keeper.remove({ key, operation, dueMs }, at)
}
