import type { Message } from '../actions/action.ts'
import { aggregateKey, parseAggregateKey } from '../actions/aggregate-key.ts'
import { pack } from '../actions/message-pack.ts'
import { unreachable } from '../kernel/assert.ts'
import type { WorkflowExecution } from './execution.ts'
import { type Issue, type Operation, outlivesRun, type RequestOperation } from './operation.ts'
import type { RunOutcome } from './run-outcome.ts'
import type { RunStart } from './run-start.ts'
import { endsWorkflow, type WorkflowEvent } from './workflow-events.ts'
import { addressOf } from './workflow-names.ts'
import { pendingTimers, timeoutOperation, type WorkflowState } from './workflow-state.ts'

/** An event, and what it sends: both or neither are written. */
export interface Change {
  readonly event: WorkflowEvent
  readonly message?: Message
}

/** What code has done since its history was last written on, as history. */
export interface Step {
  readonly changes: readonly Change[]
  /** To be carried out once the step is flushed. */
  readonly requests: readonly RequestOperation[]
  /** The code returned in the same step in which it issued them, and so did not await them: they are never begun. */
  readonly dropped: readonly string[]
}

/**
 * @param state as the history leaves it
 * @param newestVersion of the workflow's code: that of the next run
 * @param isWritten whether there is an entry even if nothing has changed
 */
export function advance(
  execution: WorkflowExecution,
  state: WorkflowState,
  atMs: number,
  newestVersion: number,
  isWritten: boolean,
): Step {
  const step: OpenStep = { changes: [], requests: [], dropped: [] }
  const { outcome, start } = execution
  // Operations of a run that is over are nobody's.
  for (const issue of execution.takeIssues(atMs, isWritten)) {
    if (outcome === null || outlivesRun(issue)) addIssue(step, issue, start, atMs)
    else if (issue.what === 'operation' && mustBegin.has(issue.operation.kind) && hasReturned(outcome))
      step.dropped.push(issue.operation.id)
  }
  if (outcome !== null) {
    const event = endOf(outcome, state, atMs, newestVersion)
    const message = endsWorkflow(event) ? replyToParent(event, state, start.key) : null
    step.changes.push(message === null ? { event } : { event, message })
    // It is acknowledged, so the next run hears of it.
    if (event.type === 'workflow/continued')
      for (const one of execution.inbox.leftOver(atMs)) step.changes.push({ event: one })
  }
  return step
}

/** What does something outside of the workflow: whoever issues it means it. */
const mustBegin: ReadonlySet<Operation['kind']> = new Set(['request', 'command', 'child'])

const hasReturned = ({ kind }: RunOutcome): boolean => kind === 'completed' || kind === 'continued'

type OpenStep = { readonly [Part in keyof Step]: Step[Part][number][] }

function addIssue({ changes, requests }: OpenStep, issue: Issue, start: RunStart, atMs: number): void {
  switch (issue.what) {
    case 'operation': {
      changes.push(beginningOf(issue.operation, start, atMs))
      if (issue.operation.kind === 'request') requests.push(issue.operation)
      return
    }
    case 'timerCancelled': {
      const { operation, dueMs } = issue
      changes.push({ event: { type: 'timer/cancelled', data: { operation, dueMs, atMs } } })
      return
    }
    case 'status':
      changes.push({ event: { type: 'status/set', data: { value: issue.value, atMs } } })
      return
    case 'patch':
      changes.push({ event: { type: 'patch/noted', data: { id: issue.id, atMs } } })
      return
    default:
      unreachable(issue)
  }
}

function beginningOf(operation: Operation, { key, run }: RunStart, atMs: number): Change {
  const { id } = operation
  const address = addressOf(run, id)
  switch (operation.kind) {
    case 'request':
      return { event: { type: 'request/started', data: { operation: id, attempt: 1, atMs } } }
    case 'timer':
    case 'signal': {
      const { dueMs } = operation
      if (dueMs === null) return { event: { type: 'signal/awaited', data: { operation: id, atMs } } }
      const kind = operation.kind === 'timer' && operation.isAbsolute ? { isAbsolute: true as const } : {}
      return { event: { type: 'timer/started', data: { operation: id, dueMs, atMs, ...kind } } }
    }
    case 'awakeable':
      return { event: { type: 'awakeable/created', data: { operation: id, atMs } } }
    case 'command': {
      const { to, command, data, expectedRevision, partition } = operation
      const aggregate = aggregateKey(to.type, to.id)
      const expected = expectedRevision === null ? {} : { expectedRevision }
      return {
        event: { type: 'command/requested', data: { operation: id, aggregate, command, data, atMs } },
        message: { to, command, data: packed(data), operation: address, ...expected, ...placeIn(partition) },
      }
    }
    case 'child': {
      const { to, input, partition } = operation
      const data = packed({ input, parent: { key, operation: address } })
      const child = aggregateKey(to.type, to.id)
      return {
        event: { type: 'child/requested', data: { operation: id, child, input, atMs } },
        // Whose child it is goes along: it says there how it ended.
        message: { to, command: 'start', data, operation: address, ...placeIn(partition) },
      }
    }
    default:
      return unreachable(operation)
  }
}

function endOf(outcome: RunOutcome, state: WorkflowState, atMs: number, version: number): WorkflowEvent {
  const timers = pendingTimers(state)
  switch (outcome.kind) {
    case 'completed':
      return { type: 'workflow/completed', data: { result: outcome.result ?? null, atMs, timers } }
    case 'failed':
      return { type: 'workflow/failed', data: { error: outcome.error, atMs, timers } }
    case 'cancelled':
      return { type: 'workflow/cancelled', data: { error: outcome.error, atMs, timers } }
    case 'continued': {
      // The time limit is that of all runs together.
      const ofRun = timers.filter(([operation]) => operation !== timeoutOperation)
      return { type: 'workflow/continued', data: { input: outcome.input ?? null, version, atMs, timers: ofRun } }
    }
    case 'broken':
      return { type: 'workflow/parked', data: { error: outcome.error, operation: outcome.operation, atMs } }
    default:
      return unreachable(outcome)
  }
}

/** What the workflow that started this one is told about its end; null: nobody has. */
export function replyToParent(end: WorkflowEvent, { parent }: WorkflowState, child: string): Message | null {
  if (parent === null) return null
  const came =
    end.type === 'workflow/completed'
      ? { result: end.data.result }
      : 'error' in end.data
        ? { error: end.data.error }
        : { result: null }
  const data = packed({ operation: parent.operation, child, ...came })
  return { to: parseAggregateKey(parent.key), command: 'childEnded', data }
}

const placeIn = (partition: string | undefined): { readonly partition?: string } =>
  partition === undefined ? {} : { partition }

const packed = (value: unknown): Uint8Array => Buffer.from(pack(value))
