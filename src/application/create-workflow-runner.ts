import type { EntryBatch } from '../actions/entry-batch.ts'
import { noIsolation } from '../workflows/isolation.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import type { ApplicationRuntimeOptions } from './application-runtime-options.ts'
import { UndefinedTargets } from './undefined-targets.ts'
import { WorkflowDrafts } from './workflow-drafts.ts'
import { WorkflowHistory } from './workflow-history.ts'
import { WorkflowRunner, type WorkflowRunnerOptions } from './workflow-runner.ts'
import { WorkflowVersions } from './workflow-versions.ts'

interface Hooks extends Pick<WorkflowRunnerOptions, 'canSend' | 'send' | 'reload' | 'restore'> {
  readonly takeSequence: () => number
}

/** The part of an application process that runs workflows; it drafts into the same batch as the rest. */
export function createWorkflowRunner(
  options: ApplicationRuntimeOptions,
  batch: EntryBatch,
  { takeSequence, ...hooks }: Hooks,
): WorkflowRunner {
  const { environment, state, instance, store, archived, application, draftBytesMax } = options
  const { aggregates, workflows } = application
  const own = new Set([...aggregates.map(({ name }) => name), ...workflows.map(({ name }) => workflowType(name))])
  const targets = new UndefinedTargets(environment.log, state, own)
  return new WorkflowRunner({
    environment,
    state,
    instance,
    versions: new WorkflowVersions(workflows),
    history: new WorkflowHistory(environment, store, archived),
    keyPrefix: options.effectKeyPrefix,
    isolation: options.isolation ?? noIsolation,
    failed: options.effectFailed ?? (() => {}),
    drafts: new WorkflowDrafts(batch, environment.clock, draftBytesMax, takeSequence, targets),
    ...hooks,
  })
}
