import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { WorkflowEvent } from './workflow-events.ts'
import { workflowNameOf } from './workflow-names.ts'
import type { WorkflowEnd } from './workflow-view.ts'

/** How a workflow ended, if one of the events of an entry says so; otherwise null. */
export function endOf(
  aggregate: { readonly type: string; readonly id: string },
  events: readonly { readonly type: string; readonly data: unknown }[],
): WorkflowEnd | null {
  const name = workflowNameOf(aggregate.type)
  const { id } = aggregate
  for (const event of events as readonly WorkflowEvent[]) {
    switch (event.type) {
      case 'workflow/completed':
        return { name, id, status: 'completed', result: event.data.result, error: null }
      case 'workflow/failed':
        return { name, id, status: 'failed', result: null, error: event.data.error }
      case 'workflow/cancelled':
        return { name, id, status: 'cancelled', result: null, error: event.data.error }
      default:
    }
  }
  return null
}

const codes = { failed: 'workflow_failed', cancelled: 'workflow_cancelled', parked: 'workflow_parked' } as const

/** The output of a workflow. @throws CommanderError `workflow_failed`, `workflow_cancelled`, `workflow_parked` */
export function outputOf(end: WorkflowEnd): unknown {
  if (end.status === 'completed') return end.result
  throw endError(end)
}

/** What whoever waits for the output of a workflow is told; its details are the recorded error. */
export function endError({ name, id, status, error }: WorkflowEnd): CommanderError {
  const code = codes[status as keyof typeof codes]
  const why =
    error === null ? '' : `: ${[`${error.code}: ${error.message}`, ...(error.causes ?? [])].join('; caused by ')}`
  const what = { failed: 'failed', cancelled: 'was cancelled', parked: 'is parked' }[status as keyof typeof codes]
  const advice =
    status === 'parked' ? `; mend the cause, and have it go on by commanderdb workflow retry ${name}/${id}` : ''
  return new CommanderError(code, `workflow ${name}/${id} ${what}${why}${advice}`, { details: error })
}

/** The command that starts a workflow, while it is pending. */
export interface PendingStart {
  readonly command: string
  readonly waitingFor: string | null
}

export function unknownWorkflow(name: string, id: string, start: PendingStart | null): CommanderError {
  if (start === null) {
    const message = `there is no workflow ${name}/${id}; start it first, or correct the id`
    return new CommanderError('workflow_unknown', message)
  }
  const reason = start.waitingFor === null ? 'it is about to be' : `waiting for: ${start.waitingFor}`
  const message = `workflow ${name}/${id} is not started yet by command ${start.command}, ${reason}`
  return new CommanderError('workflow_unknown', message, { details: start })
}

/** Why there is no such workflow yet; null where it was never started. */
export function pendingStartIn(error: unknown): PendingStart | null {
  if (!isCommanderError(error) || error.code !== 'workflow_unknown') return null
  const { command } = (error.details ?? {}) as Partial<PendingStart>
  return typeof command === 'string' ? (error.details as PendingStart) : null
}
