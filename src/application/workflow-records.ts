import { assert } from '../kernel/assert.ts'
import type { Change } from '../workflows/advance.ts'
import { foldWorkflow, type WorkflowState } from '../workflows/workflow-state.ts'
import type { LiveAggregate } from './live-aggregates.ts'
import type { LiveWorkflow } from './live-workflow.ts'

export function liveOf(aggregate: LiveAggregate): LiveWorkflow {
  const { workflow } = aggregate
  assert(workflow !== null, `${aggregate.key} is a workflow`)
  return workflow
}

export const stateOf = ({ state }: LiveAggregate): WorkflowState => state as WorkflowState

/** Folds an event that is drafted later. */
export function record(aggregate: LiveAggregate, change: Change): void {
  const revision = aggregate.revision + 1
  aggregate.state = foldWorkflow(stateOf(aggregate), change.event, { aggregate, revision })
  aggregate.revision = revision
  liveOf(aggregate).outbox.push(change)
}
