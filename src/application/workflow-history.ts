import { eventsOf } from '../actions/decode.ts'
import { revisionOf } from '../actions/entry-layout.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedElsewhere, ArchivedStreams } from '../tables/archived-streams.ts'
import { EventLogReader } from '../tables/event-log.ts'
import { StreamReader } from '../tables/stream-reader.ts'
import type { WorkflowEvent } from '../workflows/workflow-events.ts'
import { asWorkflowEvent } from './live-workflow.ts'

/** Reads the history of workflows, a little at a time: it may be long. */
export class WorkflowHistory {
  readonly #archived: ArchivedStreams
  /** One for all: those that wake up together have mostly gone to sleep together, and lie in the same blocks. */
  readonly #reader: StreamReader

  constructor(store: KeyValueStore, archived: ArchivedStreams) {
    this.#archived = archived
    this.#reader = new StreamReader(store, new EventLogReader(store, archived), archived)
  }

  /** Brings archived events into memory. */
  load(elsewhere: ArchivedElsewhere): Promise<void> {
    return this.#archived.load(elsewhere)
  }

  /** Events from a revision to another, both included. @throws ArchivedElsewhere */
  *events(key: string, from: number, to: number): Generator<WorkflowEvent> {
    if (from > to) return
    let revision = from - 1
    for (const { buffer, offset } of this.#reader.entries(key, from)) {
      const base = revisionOf(buffer, offset)
      for (const event of eventsOf(buffer, offset).slice(revision - base)) {
        if (revision === to) return
        revision++
        yield asWorkflowEvent(event)
      }
    }
  }
}
