import type { Failure } from './failure.ts'

/** How far a workflow that was started can be. */
export const workflowStatuses = ['running', 'parked', 'completed', 'failed', 'cancelled'] as const
export type StartedWorkflowStatus = (typeof workflowStatuses)[number]

/** What is known of a workflow without reading its history. Times are ISO 8601, UTC. */
export interface WorkflowSummary {
  readonly name: string
  readonly id: string
  readonly status: StartedWorkflowStatus
  readonly version: number
  /** 1, 2, 3… with `continueAsNew`. */
  readonly run: number
  /** Not when that was asked for: a start may be put off, or wait for a slot. */
  readonly startedAt: string
  readonly endedAt: string | null
  /** Of one that is running, where a list was asked for it. */
  readonly waitingFor?: readonly WorkflowWaiting[]
}

/** One side effect of a workflow, or what undoes one. */
export interface WorkflowRequestView {
  readonly name: string
  /** Its name in the history: `request/charge#1`; what undoes it is `compensation/charge#1`. */
  readonly operation: string
  readonly run: number
  readonly attempt: number
  /**
   * running: an attempt is under way. retrying: the last one failed, and the next one follows at `retryAt`. parked: given
   * up, with its workflow, for a person to have it tried again. cancelled: its workflow did not wait for it any more.
   */
  readonly status: 'running' | 'retrying' | 'parked' | 'completed' | 'failed' | 'cancelled'
  readonly startedAt: string
  readonly endedAt: string | null
  readonly retryAt: string | null
  /** Of the last attempt that failed; null once an attempt was completed. */
  readonly error: Failure | null
}

/** What has to happen for the workflow to go on. A signal that it began to wait for beside a request may be said only when that has ended. */
export interface WorkflowWaiting {
  readonly kind: 'timer' | 'signal' | 'command' | 'child' | 'awakeable'
  readonly operation: string
  readonly since: string
  /** When its timer is due. */
  readonly dueAt: string | null
  /** awakeable: what the callback has to name. */
  readonly awakeable?: string
  /** child: its name and id. */
  readonly child?: string
  /** Why nothing comes of it for now: no application defines what it was sent to. */
  readonly because?: string
}

/** All that is known of a workflow. */
export interface WorkflowView extends WorkflowSummary {
  /** Revision of its history that this was made of. */
  readonly revision: number
  readonly result: unknown
  /** failed, cancelled, parked: why. */
  readonly error: Failure | null
  /** What it said of itself last, by `setStatus`. */
  readonly progress: unknown
  /** A person or its own time limit asked it to stop, and it undoes what it did. */
  readonly isCancelled: boolean
  /** The latest 1,000, and all that are under way. */
  readonly requests: readonly WorkflowRequestView[]
  /** Of all its runs; `requests` may show fewer. */
  readonly requestCounts: { readonly total: number; readonly completed: number; readonly failed: number }
  readonly waitingFor: readonly WorkflowWaiting[]
}

/** How a workflow ended, as the entry that ended it says. */
export interface WorkflowEnd {
  readonly name: string
  readonly id: string
  readonly status: 'completed' | 'failed' | 'cancelled' | 'parked'
  readonly result: unknown
  readonly error: Failure | null
}
