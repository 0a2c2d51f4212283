import { aggregateDefaults } from '../sdk/aggregate.ts'
import { type AnyAggregate, aggregateBrand } from '../sdk/aggregate-types.ts'
import type { Application } from '../sdk/application.ts'
import type { AnyQueue } from '../sdk/queue.ts'
import type { StandardResult, StandardSchema } from '../sdk/standard-schema.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import { workflowDeciders } from './workflow-decide.ts'
import { workflowType } from './workflow-names.ts'
import { evolveWorkflow, initialWorkflowState } from './workflow-state.ts'

/**
 * A workflow as an aggregate: what comes to it are commands, and its history is a stream. So it is received, dispatched,
 * guarded, stored and read as everything else is.
 */
export function workflowAggregate(workflow: AnyWorkflow): AnyAggregate {
  return Object.freeze({
    [aggregateBrand]: true,
    ...aggregateDefaults,
    name: workflowType(workflow.name),
    initialState: initialWorkflowState,
    decide: Object.freeze(Object.assign(Object.create(null), workflowDeciders(workflow))),
    evolve: Object.freeze(Object.assign(Object.create(null), evolveWorkflow)),
    schemas: Object.freeze({ commands: Object.freeze({ start: startSchema(workflow) }) }),
    ...(workflow.queue === undefined ? {} : { queues: Object.freeze({ start: startQueue(workflow.queue) }) }),
  }) as unknown as AnyAggregate
}

/** All aggregates of an application, those of its workflows included. */
export function hostedDefinitions(application: Application): readonly AnyAggregate[] {
  return [...application.aggregates, ...newest(application.workflows).map(workflowAggregate)]
}

/** New workflows are started with the newest version; older ones are there for those that are under way. */
function newest(workflows: readonly AnyWorkflow[]): AnyWorkflow[] {
  const byName = new Map<string, AnyWorkflow>()
  for (const workflow of workflows)
    if (workflow.version > (byName.get(workflow.name)?.version ?? 0)) byName.set(workflow.name, workflow)
  return [...byName.values()]
}

/** A workflow is put off by its start. */
function startQueue({ partitionKey, ...queueLimits }: AnyQueue): AnyQueue {
  if (partitionKey === undefined) return queueLimits
  return { ...queueLimits, partitionKey: (data, id) => partitionKey((data as { input: unknown }).input, id) }
}

/** The start of a workflow is checked by the schema of its input. */
function startSchema({ input }: AnyWorkflow): StandardSchema {
  const validate = (value: unknown): StandardResult<unknown> | Promise<StandardResult<unknown>> => {
    if (typeof value !== 'object' || value === null || !('input' in value))
      return { issues: [{ message: 'it must be an object { input }' }] }
    if (input === undefined) return { value }
    const result = input['~standard'].validate(value.input)
    if (result instanceof Promise) return result
    if (result.issues === undefined) return { value: { ...value, input: result.value } }
    return { issues: result.issues.map(({ message, path = [] }) => ({ message, path: ['input', ...path] })) }
  }
  return { '~standard': { version: 1, vendor: 'commanderdb', validate } }
}
