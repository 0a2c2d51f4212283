import type { ReplyAddress } from '../actions/action.ts'
import type { WorkflowCommandOutcome } from '../sdk/workflow-types.ts'
import type { Failure } from './failure.ts'

/** A timer that is no longer waited for: operation and when it was due. */
export type DroppedTimer = readonly [operation: string, dueMs: number]

/** What an event that ends a run takes along: the timers that it leaves behind. */
interface Ending {
  readonly atMs: number
  readonly timers: readonly DroppedTimer[]
}

/** What the stream of a workflow may hold: its history. Its data is kept as it is for ever: add, never change. */
export interface WorkflowEventData {
  readonly 'workflow/started': {
    readonly input: unknown
    readonly digest: string
    readonly version: number
    readonly atMs: number
    readonly timeoutAtMs: number | null
    readonly parent: ReplyAddress | null
  }
  /** The run before has ended by `continueAsNew`; this is the beginning of the next one. */
  readonly 'workflow/continued': Ending & { readonly input: unknown; readonly version: number }
  readonly 'workflow/completed': Ending & { readonly result: unknown }
  readonly 'workflow/failed': Ending & { readonly error: Failure }
  readonly 'workflow/cancelled': Ending & { readonly error: Failure }
  readonly 'workflow/parked': { readonly atMs: number; readonly error: Failure; readonly operation: string | null }
  readonly 'workflow/retried': { readonly atMs: number }
  readonly 'workflow/cancel-requested': Ending & { readonly reason: string }
  /** Attempt 1 is the request's beginning; the others follow on failures and crashes. */
  readonly 'request/started': { readonly operation: string; readonly attempt: number; readonly atMs: number }
  readonly 'request/completed': { readonly operation: string; readonly result: unknown; readonly atMs: number }
  readonly 'request/failed': {
    readonly operation: string
    readonly attempt: number
    readonly error: Failure
    readonly atMs: number
    /** final: thrown into the workflow. again: tried again. exhausted: the workflow is parked. */
    readonly next: 'final' | 'again' | 'exhausted'
    /** When it is tried again. */
    readonly retryAtMs: number | null
    /** By a timer, so that the workflow takes no memory until then. */
    readonly isTimer: boolean
  }
  readonly 'timer/started': {
    readonly operation: string
    readonly dueMs: number
    readonly atMs: number
    /** Due at a time of the wall clock, whatever that does until then; absent: after so long. */
    readonly isAbsolute?: true
  }
  readonly 'timer/fired': {
    readonly operation: string
    readonly dueMs: number
    readonly atMs: number
    /** Of the workflow's own time limit: those that are dropped with it. */
    readonly timers?: readonly DroppedTimer[]
  }
  readonly 'timer/cancelled': { readonly operation: string; readonly dueMs: number; readonly atMs: number }
  /**
   * The code waits for a signal without a time limit, for people to see: in an entry that is written in any case, so there
   * may be none of it, and histories of before this was recorded have none.
   */
  readonly 'signal/awaited': { readonly operation: string; readonly atMs: number }
  readonly 'signal/received': { readonly name: string; readonly data: unknown; readonly atMs: number }
  readonly 'awakeable/created': { readonly operation: string; readonly atMs: number }
  readonly 'awakeable/resolved': {
    readonly operation: string
    readonly value?: unknown
    readonly error?: Failure
    readonly atMs: number
  }
  readonly 'command/requested': {
    readonly operation: string
    readonly aggregate: string
    readonly command: string
    readonly data: unknown
    readonly atMs: number
  }
  readonly 'command/ended': {
    readonly operation: string
    readonly outcome: WorkflowCommandOutcome
    readonly atMs: number
  }
  readonly 'child/requested': {
    readonly operation: string
    readonly child: string
    readonly input: unknown
    readonly atMs: number
  }
  readonly 'child/started': { readonly operation: string; readonly atMs: number }
  readonly 'child/ended': {
    readonly operation: string
    readonly result?: unknown
    readonly error?: Failure
    readonly atMs: number
  }
  readonly 'patch/noted': { readonly id: string; readonly atMs: number }
  readonly 'status/set': { readonly value: unknown; readonly atMs: number }
}

export type WorkflowEventType = keyof WorkflowEventData

export type WorkflowEvent = {
  readonly [Type in WorkflowEventType]: { readonly type: Type; readonly data: WorkflowEventData[Type] }
}[WorkflowEventType]

export type EventOfType<Type extends WorkflowEventType> = Extract<WorkflowEvent, { readonly type: Type }>

const lifecycle: ReadonlySet<WorkflowEventType> = new Set([
  'workflow/started',
  'workflow/continued',
  'workflow/completed',
  'workflow/failed',
  'workflow/cancelled',
  'workflow/parked',
  'workflow/retried',
  'workflow/cancel-requested',
  'timer/started',
  'timer/fired',
  'timer/cancelled',
] satisfies WorkflowEventType[])

/** Whether the event changes the index of workflows or that of timers. */
export const isIndexed = (event: WorkflowEvent): boolean =>
  lifecycle.has(event.type) || (event.type === 'request/failed' && event.data.isTimer)

export const endsWorkflow = ({ type }: WorkflowEvent): boolean =>
  type === 'workflow/completed' || type === 'workflow/failed' || type === 'workflow/cancelled'
