import type { Message, WorkflowEffects } from '../actions/action.ts'
import type { DecidedEvent } from '../sdk/aggregate-types.ts'
import { replyToParent } from '../workflows/advance.ts'
import { endsWorkflow, isIndexed } from '../workflows/workflow-events.ts'
import type { LiveAggregate } from './live-aggregates.ts'
import { asWorkflowEvent } from './live-workflow.ts'
import { liveOf, stateOf } from './workflow-records.ts'

/** What the entry that completes a command says of the workflow beside the command's events. */
export interface Completing {
  readonly effects: WorkflowEffects
  readonly messages: readonly Message[]
}

/** A command on a workflow decided on these events, and its state is the one after them. */
export function completingOf(aggregate: LiveAggregate, events: readonly DecidedEvent[]): Completing {
  const { activation } = liveOf(aggregate)
  const state = stateOf(aggregate)
  const happened = events.map(asWorkflowEvent)
  const end = happened.find(endsWorkflow)
  const message = end === undefined ? null : replyToParent(end, state, aggregate.key)
  const isRunning = state.status === 'running'
  const effects: WorkflowEffects = {
    ...(events.length > 0 && isRunning && activation === 0 ? { activates: true } : {}),
    ...(!isRunning && activation !== 0 ? { releases: true } : {}),
    ...(end === undefined ? {} : { ends: true }),
    ...(happened.some(isIndexed) ? { indexed: true } : {}),
  }
  return { effects, messages: message === null ? [] : [message] }
}
