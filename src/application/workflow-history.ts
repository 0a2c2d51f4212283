import { eventsOf } from '../actions/decode.ts'
import { revisionOf } from '../actions/entry-layout.ts'
import type { Environment } from '../kernel/environment.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedElsewhere, ArchivedStreams } from '../tables/archived-streams.ts'
import { EventLogReader } from '../tables/event-log.ts'
import { StreamReader } from '../tables/stream-reader.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { asWorkflowEvent } from './live-workflow.ts'

/** Events read at once, about. */
const pageEvents = 256

const archiveRetryMs = 1_000

/** Reads the history of workflows, a little at a time: it may be long. */
export class WorkflowHistory {
  readonly #environment: Environment
  readonly #archived: ArchivedStreams
  /** One for all: those that wake up together have mostly gone to sleep together, and lie in the same blocks. */
  readonly #reader: StreamReader

  constructor(environment: Environment, store: KeyValueStore, archived: ArchivedStreams) {
    this.#environment = environment
    this.#archived = archived
    this.#reader = new StreamReader(store, new EventLogReader(store, archived), archived)
  }

  /** Brings archived events into memory; `again` is to read the history of `key` again. */
  bringBack(elsewhere: ArchivedElsewhere, key: string, again: () => void): void {
    const { log, scheduler } = this.#environment
    this.#archived.load(elsewhere).then(again, (error: Error) => {
      log.warn({ workflow: key }, `its history cannot be read: ${error.message}`)
      scheduler.after(archiveRetryMs, again)
    })
  }

  /** The next events from a revision on, up to another, which is included. @throws ArchivedElsewhere */
  page(key: string, from: number, to: number): WorkflowEvent[] {
    const events: WorkflowEvent[] = []
    let revision = from - 1
    for (const { buffer, offset } of this.#reader.entries(key, from)) {
      const base = revisionOf(buffer, offset)
      for (const event of eventsOf(buffer, offset).slice(revision - base, to - base))
        events.push(asWorkflowEvent(event))
      revision = from - 1 + events.length
      if (revision >= to || events.length >= pageEvents) break
    }
    return events
  }
}
