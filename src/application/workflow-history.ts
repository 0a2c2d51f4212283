import { eventsOf } from '../actions/decode.ts'
import { revisionOf } from '../actions/entry-layout.ts'
import type { Environment } from '../kernel/environment.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedElsewhere, ArchivedStreams } from '../tables/archived-streams.ts'
import { EventLogReader } from '../tables/event-log.ts'
import { StreamReader } from '../tables/stream-reader.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { asWorkflowEvent } from './live-workflow.ts'

const archiveRetryMs = 1_000

/** Reads the history of workflows, a little at a time: it may be long. */
export class WorkflowHistory {
  readonly #environment: Environment
  readonly #store: KeyValueStore
  readonly #archived: ArchivedStreams

  constructor(environment: Environment, store: KeyValueStore, archived: ArchivedStreams) {
    this.#environment = environment
    this.#store = store
    this.#archived = archived
  }

  /** Brings archived events into memory; `again` is to read the history of `key` again. */
  bringBack(elsewhere: ArchivedElsewhere, key: string, again: () => void): void {
    const { log, scheduler } = this.#environment
    this.#archived.load(elsewhere).then(again, (error: Error) => {
      log.warn({ workflow: key }, `its history cannot be read: ${error.message}`)
      scheduler.after(archiveRetryMs, again)
    })
  }

  /** Events from a revision to another, both included. @throws ArchivedElsewhere */
  *events(key: string, from: number, to: number): Generator<WorkflowEvent> {
    if (from > to) return
    const reader = new StreamReader(this.#store, new EventLogReader(this.#store, this.#archived), this.#archived)
    let revision = from - 1
    for (const { buffer, offset } of reader.entries(key, from)) {
      const base = revisionOf(buffer, offset)
      for (const event of eventsOf(buffer, offset).slice(revision - base)) {
        if (revision === to) return
        revision++
        yield asWorkflowEvent(event)
      }
    }
  }
}
