import type { ReplyAddress } from '../actions/action.ts'
import type { EvolveEvent } from '../sdk/aggregate-types.ts'
import type { Failure } from './failure.ts'
import { isCompensation } from './operation.ts'
import { signalCame } from './signal-waits.ts'
import type { DroppedTimer, WorkflowEvent, WorkflowEventData, WorkflowEventType } from './workflow-events.ts'

export type WorkflowStatus = 'none' | 'running' | 'parked' | 'completed' | 'failed' | 'cancelled'

/** Something that the workflow has asked for and that has not ended. */
export interface PendingOperation {
  /** signal: one without a time limit; one with is a timer. */
  readonly kind: 'request' | 'timer' | 'signal' | 'command' | 'child' | 'awakeable'
  readonly startedAtMs: number
  /** request: the attempt that is under way, or was last. */
  attempt: number
  /** request: attempts that failed, since a person last had a look. A crash is no failure of it. */
  failures: number
  /** When its timer is due; null while it has none. */
  dueMs: number | null
  /** request: failed, and tried again at this time; null: not waiting. */
  retryAtMs: number | null
  isExhausted: boolean
  error: Failure | null
  /** child: its key, once it is started. */
  readonly child: string | null
  /** command: the key of its aggregate; absent in states of older code. */
  readonly to?: string
  /** timer: the signal has come that it limits. */
  hasCome?: true
}

/**
 * A workflow as its history leaves it: bounded by what is under way, since what has ended is in the stream alone.
 * Changed in place: whoever folds one owns it.
 */
export interface WorkflowState {
  status: WorkflowStatus
  /** The version that it was started with. */
  version: number
  /** Of the input that it was started with. */
  digest: string
  /** 1, 2, 3… with `continueAsNew`. */
  run: number
  /** The revision of the run's first event. */
  runRevision: number
  startedAtMs: number
  endedAtMs: number | null
  timeoutAtMs: number | null
  parent: ReplyAddress | null
  isCancelled: boolean
  isTimedOut: boolean
  /** Of this run, by their names. */
  operations: Record<string, PendingOperation>
  /** Requests that were completed, in all runs. */
  completedRequests: number
  /** Of this run. */
  patches: string[]
  /** What it said of itself last. */
  custom: unknown
  result: unknown
  error: Failure | null
}

export const initialWorkflowState = (): WorkflowState => ({
  status: 'none',
  version: 0,
  digest: '',
  run: 0,
  runRevision: 0,
  startedAtMs: 0,
  endedAtMs: null,
  timeoutAtMs: null,
  parent: null,
  isCancelled: false,
  isTimedOut: false,
  operations: {},
  completedRequests: 0,
  patches: [],
  custom: null,
  result: null,
  error: null,
})

export const hasEnded = ({ status }: WorkflowState): boolean =>
  status === 'completed' || status === 'failed' || status === 'cancelled'

/** The operation by which a workflow's own time limit fires. */
export const timeoutOperation = 'timeout'

/** Timers that nobody waits for when the run ends now. */
export function pendingTimers({ operations, timeoutAtMs }: WorkflowState): DroppedTimer[] {
  const timers: DroppedTimer[] = []
  for (const [operation, { dueMs }] of Object.entries(operations)) if (dueMs !== null) timers.push([operation, dueMs])
  if (timeoutAtMs !== null) timers.push([timeoutOperation, timeoutAtMs])
  return timers
}

/** Timers that nobody waits for when the run is interrupted now: what undoes goes on. */
export const interruptedTimers = (state: WorkflowState): DroppedTimer[] =>
  pendingTimers(state).filter(([operation]) => !isCompensation(operation))

type Evolve = {
  readonly [Type in WorkflowEventType]: (
    state: WorkflowState,
    data: WorkflowEventData[Type],
    event: EvolveEvent,
  ) => WorkflowState
}

function open(
  state: WorkflowState,
  operation: string,
  kind: PendingOperation['kind'],
  startedAtMs: number,
  more: { readonly dueMs?: number; readonly child?: string; readonly to?: string } = {},
): WorkflowState {
  state.operations[operation] = {
    kind,
    startedAtMs,
    attempt: kind === 'request' ? 1 : 0,
    failures: 0,
    dueMs: more.dueMs ?? null,
    retryAtMs: null,
    isExhausted: false,
    error: null,
    child: more.child ?? null,
    ...(more.to === undefined ? {} : { to: more.to }),
  }
  return state
}

function close(state: WorkflowState, operation: string): WorkflowState {
  delete state.operations[operation]
  return state
}

/** All that is waited for ends, but what undoes. */
function interrupt(state: WorkflowState): WorkflowState {
  for (const operation of Object.keys(state.operations)) if (!isCompensation(operation)) close(state, operation)
  state.timeoutAtMs = null
  return state
}

/** A person has had a look: what was given up is tried again. */
function goOn(state: WorkflowState): WorkflowState {
  for (const operation of Object.values(state.operations)) {
    if (!operation.isExhausted) continue
    operation.isExhausted = false
    operation.failures = 0
    operation.retryAtMs = null
  }
  return Object.assign(state, { status: 'running', error: null })
}

function end(
  state: WorkflowState,
  status: WorkflowStatus,
  atMs: number,
  result: unknown,
  error: Failure | null,
): WorkflowState {
  Object.assign(state, { status, endedAtMs: atMs, operations: {}, result, error })
  return state
}

export const evolveWorkflow: Evolve = {
  'workflow/started': (state, { digest, version, atMs, timeoutAtMs, parent }, { revision }) =>
    Object.assign(state, {
      status: 'running',
      digest,
      version,
      parent,
      timeoutAtMs,
      run: 1,
      runRevision: revision,
      startedAtMs: atMs,
    }),
  'workflow/continued': (state, { version }, { revision }) =>
    Object.assign(state, {
      version,
      run: state.run + 1,
      runRevision: revision,
      isCancelled: false,
      operations: {},
      patches: [],
    }),
  'workflow/completed': (state, { atMs, result }) => end(state, 'completed', atMs, result, null),
  'workflow/failed': (state, { atMs, error }) => end(state, 'failed', atMs, null, error),
  'workflow/cancelled': (state, { atMs, error }) => end(state, 'cancelled', atMs, null, error),
  'workflow/parked': (state, { error }) => Object.assign(state, { status: 'parked', error }),
  'workflow/retried': (state) => goOn(state),
  'workflow/cancel-requested': (state) => Object.assign(goOn(interrupt(state)), { isCancelled: true }),
  'request/started': (state, { operation, attempt, atMs }) => {
    const known = state.operations[operation]
    if (known === undefined) return open(state, operation, 'request', atMs)
    known.attempt = attempt
    known.retryAtMs = null
    return state
  },
  'request/completed': (state, { operation }) => {
    state.completedRequests++
    return close(state, operation)
  },
  'request/failed': (state, { operation, error, next, retryAtMs, isTimer }) => {
    const known = state.operations[operation]
    if (known === undefined || next === 'final') return close(state, operation)
    known.failures++
    known.error = error
    known.retryAtMs = retryAtMs
    known.dueMs = isTimer ? retryAtMs : null
    known.isExhausted = next === 'exhausted'
    return state
  },
  'timer/started': (state, { operation, dueMs, atMs }) => open(state, operation, 'timer', atMs, { dueMs }),
  'timer/fired': (state, { operation }) => {
    if (operation === timeoutOperation) {
      return Object.assign(interrupt(state), { isTimedOut: true })
    }
    const known = state.operations[operation]
    if (known?.kind !== 'request') return close(state, operation)
    known.dueMs = null
    known.retryAtMs = null
    return state
  },
  'timer/cancelled': (state, { operation }) => close(state, operation),
  'signal/awaited': (state, { operation, atMs }) => open(state, operation, 'signal', atMs),
  'signal/received': (state, { name }) => {
    signalCame(state.operations, name)
    return state
  },
  'awakeable/created': (state, { operation, atMs }) => open(state, operation, 'awakeable', atMs),
  'awakeable/resolved': (state, { operation }) => close(state, operation),
  'command/requested': (state, { operation, aggregate, atMs }) =>
    open(state, operation, 'command', atMs, { to: aggregate }),
  'command/ended': (state, { operation }) => close(state, operation),
  'child/requested': (state, { operation, child, atMs }) => open(state, operation, 'child', atMs, { child }),
  'child/started': (state) => state,
  'child/ended': (state, { operation }) => close(state, operation),
  'patch/noted': (state, { id }) => {
    state.patches.push(id)
    return state
  },
  'status/set': (state, { value }) => Object.assign(state, { custom: value }),
}

/** The state after one more event. */
export function foldWorkflow(
  state: WorkflowState,
  { type, data }: WorkflowEvent,
  event: Omit<EvolveEvent, 'type'>,
): WorkflowState {
  const evolve = evolveWorkflow[type] as (state: WorkflowState, data: unknown, event: EvolveEvent) => WorkflowState
  return evolve(state, data, { ...event, type })
}
