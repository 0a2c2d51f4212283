import type { AggregateReference } from '../actions/action.ts'
import type { RequestPolicy } from '../sdk/workflow.ts'
import type { Effect } from '../sdk/workflow-types.ts'

interface Common {
  /** Its name in the history: `request/charge#1` is the first request with the name `charge`. */
  readonly id: string
}

export interface RequestOperation extends Common {
  readonly kind: 'request'
  readonly effect: Effect<unknown>
  readonly policy: RequestPolicy
}

export interface TimerOperation extends Common {
  readonly kind: 'timer'
  readonly dueMs: number
  /** Due at a time of the wall clock, not after so long. */
  readonly isAbsolute: boolean
}

/** Waits for a signal; with a timer where it waits for a while only. */
export interface SignalOperation extends Common {
  readonly kind: 'signal'
  readonly name: string
  readonly dueMs: number | null
}

export interface AwakeableOperation extends Common {
  readonly kind: 'awakeable'
}

export interface CommandOperation extends Common {
  readonly kind: 'command'
  readonly to: AggregateReference
  readonly command: string
  readonly data: unknown
  readonly expectedRevision: number | null
  /** Sent even when the run ends in the same step: a child is told that it is cancelled. */
  readonly outlivesRun?: true
  /** Of the command's queue; absent where there is none, or only the name of the aggregate is known. */
  readonly partition?: string
}

export interface ChildOperation extends Common {
  readonly kind: 'child'
  readonly to: AggregateReference
  readonly input: unknown
  readonly partition?: string
}

export type Operation =
  | RequestOperation
  | TimerOperation
  | SignalOperation
  | AwakeableOperation
  | CommandOperation
  | ChildOperation

/** Of those that code waits for, the one that a signal of this name ends. */
export const signalAwaited = (waiting: readonly Operation[], name: string): SignalOperation | undefined =>
  waiting.find((operation): operation is SignalOperation => operation.kind === 'signal' && operation.name === name)

/** What code has done since its history was last written on. */
export type Issue =
  | { readonly what: 'operation'; readonly operation: Operation }
  | { readonly what: 'timerCancelled'; readonly operation: string; readonly dueMs: number }
  | { readonly what: 'status'; readonly value: unknown }
  | { readonly what: 'patch'; readonly id: string }

/** Worth no entry of its own: waiting for a signal for as long as it takes. */
export const mayBeRecordedLater = (issue: Issue): boolean =>
  issue.what === 'operation' && issue.operation.kind === 'signal' && issue.operation.dueMs === null

export const outlivesRun = (issue: Issue): boolean =>
  issue.what !== 'operation' || (issue.operation.kind === 'command' && issue.operation.outlivesRun === true)

/** The first part of an operation's name: its kind, or that it undoes another one. */
export type OperationNameKind = Operation['kind'] | 'compensation'

export const isCompensation = (operation: string): boolean => operation.startsWith('compensation/')
