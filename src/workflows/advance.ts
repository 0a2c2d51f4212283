import type { Message } from '../actions/action.ts'
import { aggregateKey, parseAggregateKey } from '../actions/aggregate-key.ts'
import { pack } from '../actions/message-pack.ts'
import { unreachable } from '../kernel/assert.ts'
import type { RunOutcome, WorkflowExecution } from './execution.ts'
import type { Issue, Operation, RequestOperation } from './operation.ts'
import type { WorkflowEvent } from './workflow-events.ts'
import { pendingTimers, timeoutOperation, type WorkflowState } from './workflow-state.ts'

/** What code has done since its history was last written on, as history. */
export interface Step {
  readonly events: readonly WorkflowEvent[]
  readonly messages: readonly Message[]
  /** To be carried out once the step is flushed. */
  readonly requests: readonly RequestOperation[]
}

/**
 * @param state as the history leaves it
 * @param newestVersion of the workflow's code: that of the next run
 */
export function advance(execution: WorkflowExecution, state: WorkflowState, atMs: number, newestVersion: number): Step {
  const step = { events: [] as WorkflowEvent[], messages: [] as Message[], requests: [] as RequestOperation[] }
  const { outcome, start } = execution
  // Operations of a run that is over are nobody's.
  const issues = execution.takeIssues(atMs).filter(({ what }) => outcome === null || what !== 'operation')
  for (const issue of issues) addIssue(step, issue, start.key, atMs)
  if (outcome !== null) {
    step.events.push(endOf(outcome, state, atMs, newestVersion))
    const reply = replyToParent(outcome, state, start.key)
    if (reply !== null) step.messages.push(reply)
  }
  return step
}

type OpenStep = { readonly [Part in keyof Step]: Step[Part][number][] }

function addIssue(step: OpenStep, issue: Issue, key: string, atMs: number): void {
  switch (issue.what) {
    case 'operation':
      return addOperation(step, issue.operation, key, atMs)
    case 'timerCancelled': {
      const { operation, dueMs } = issue
      step.events.push({ type: 'timer/cancelled', data: { operation, dueMs, atMs } })
      return
    }
    case 'status':
      step.events.push({ type: 'status/set', data: { value: issue.value, atMs } })
      return
    case 'patch':
      step.events.push({ type: 'patch/noted', data: { id: issue.id, atMs } })
      return
    default:
      unreachable(issue)
  }
}

function addOperation({ events, messages, requests }: OpenStep, operation: Operation, key: string, atMs: number): void {
  const { id } = operation
  switch (operation.kind) {
    case 'request':
      events.push({ type: 'request/started', data: { operation: id, attempt: 1, atMs } })
      requests.push(operation)
      return
    case 'timer':
      events.push({ type: 'timer/started', data: { operation: id, dueMs: operation.dueMs, atMs } })
      return
    case 'signal':
      if (operation.dueMs !== null)
        events.push({ type: 'timer/started', data: { operation: id, dueMs: operation.dueMs, atMs } })
      return
    case 'awakeable':
      events.push({ type: 'awakeable/created', data: { operation: id, atMs } })
      return
    case 'command': {
      const { to, command, data, expectedRevision } = operation
      const aggregate = aggregateKey(to.type, to.id)
      events.push({ type: 'command/requested', data: { operation: id, aggregate, command, data, atMs } })
      const expected = expectedRevision === null ? {} : { expectedRevision }
      messages.push({ to, command, data: packed(data), operation: id, ...expected })
      return
    }
    case 'child': {
      const { to, input } = operation
      events.push({ type: 'child/requested', data: { operation: id, child: aggregateKey(to.type, to.id), input, atMs } })
      // Whose child it is goes along: it says there how it ended.
      messages.push({ to, command: 'start', data: packed({ input, parent: { key, operation: id } }), operation: id })
      return
    }
    default:
      unreachable(operation)
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

/** What the workflow that started this one is told; null: nobody has, or it is not over. */
function replyToParent(outcome: RunOutcome, { parent }: WorkflowState, child: string): Message | null {
  if (parent === null || outcome.kind === 'continued' || outcome.kind === 'broken') return null
  const came = outcome.kind === 'completed' ? { result: outcome.result ?? null } : { error: outcome.error }
  const data = packed({ operation: parent.operation, child, ...came })
  return { to: parseAggregateKey(parent.key), command: 'childEnded', data }
}

const packed = (value: unknown): Uint8Array => Buffer.from(pack(value))
