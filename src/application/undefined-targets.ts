import type { AggregateReference } from '../actions/action.ts'
import type { Log } from '../kernel/environment.ts'
import type { RootState } from '../state/root.ts'
import { isWorkflowType, workflowNameOf } from '../workflows/workflow-names.ts'
import type { LiveAggregate } from './live-aggregates.ts'

/**
 * Names types that no application defines and that a workflow sends something to: it may come later, so the workflow waits,
 * but mostly the name is wrong. Once for each of them.
 */
export class UndefinedTargets {
  readonly #log: Log
  readonly #state: RootState
  readonly #own: ReadonlySet<string>
  readonly #named = new Set<string>()

  /** @param own types that this application defines */
  constructor(log: Log, state: RootState, own: ReadonlySet<string>) {
    this.#log = log
    this.#state = state
    this.#own = own
  }

  look(sender: LiveAggregate, { type, id }: AggregateReference, command: string): void {
    if (this.#own.has(type) || this.#state.applications.hostsByType.has(type) || this.#named.has(type)) return
    this.#named.add(type)
    const what = isWorkflowType(type) ? `workflow "${workflowNameOf(type)}"` : `aggregate "${type}"`
    const sent = isWorkflowType(type) ? `${command} of ${workflowNameOf(type)}/${id}` : `${command} on ${type}/${id}`
    const workflow = workflowNameOf(sender.key)
    const message = `workflow ${workflow} waits for ${sent}, but no application that runs defines ${what}: it waits until one does; correct the name if it is wrong`
    this.#log.warn({ code: 'undefined_target', workflow, target: type }, message)
  }
}
