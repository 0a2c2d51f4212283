import type { Log } from '../kernel/environment.ts'
import { workflowNameOf } from '../workflows/workflow-names.ts'
import type { LiveAggregate } from './live-aggregates.ts'

/** Names workflows whose code awaits what is not recorded, or does not await what it should: once for each of their names. */
export class AdriftWorkflows {
  readonly #log: Log
  readonly #named = new Set<string>()
  readonly #hasty = new Set<string>()

  constructor(log: Log) {
    this.#log = log
  }

  name({ key, type }: LiveAggregate): void {
    if (this.#named.has(type)) return
    this.#named.add(type)
    const workflow = workflowNameOf(key)
    const message =
      `workflow ${workflow} awaits something that its context does not know, and that is not recorded: when it runs ` +
      'again from its history, that will not have happened; wrap it in context.request'
    this.#log.warn({ code: 'unrecorded_await', workflow }, message)
  }

  /** Its code has returned before these could begin. */
  dropped({ key, type }: LiveAggregate, operations: readonly string[]): void {
    if (this.#hasty.has(type)) return
    this.#hasty.add(type)
    const workflow = workflowNameOf(key)
    const message = `workflow ${workflow} has returned without awaiting ${operations.join(', ')}: that was never begun; await it`
    this.#log.warn({ code: 'not_awaited', workflow, operations }, message)
  }
}
