import { eventCountOf, revisionOf } from '../actions/entry-layout.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedStreams } from './archived-streams.ts'
import { readArchivedRange } from './archives.ts'
import type { EventLogReader } from './event-log.ts'
import { readLife } from './lives.ts'
import type { StreamEntry } from './stream-object.ts'
import { streamPointers } from './streams.ts'

/** The entries of one stream, from the archive and then from the log. */
export class StreamReader {
  readonly #store: KeyValueStore
  readonly #log: EventLogReader
  readonly #archived: ArchivedStreams

  constructor(store: KeyValueStore, log: EventLogReader, archived: ArchivedStreams) {
    this.#store = store
    this.#log = log
    this.#archived = archived
  }

  /** From the one that holds the event with this revision on (1 is the first). @throws ArchivedElsewhere */
  *entries(key: string, fromRevision: number): Generator<StreamEntry> {
    let next = Math.max(1, fromRevision)
    const { archives } = readLife(this.#store, key)
    for (const { lsn, upTo } of archives) {
      if (upTo < next) continue
      const range = readArchivedRange(this.#store, lsn)
      if (range === null) return
      for (const entry of this.#archived.entriesOf(range)) {
        const end = endOf(entry)
        if (end < next) continue
        yield entry
        next = end + 1
      }
    }
    let revision = next - 1
    for (const pointer of streamPointers(this.#store, key, next)) {
      revision++
      if (revision < next) continue
      const { buffer, offset } = this.#log.entry(pointer)
      const base = revisionOf(buffer, offset)
      const entry = { buffer, offset, position: pointer.block + pointer.delta - (revision - base - 1) }
      yield entry
      next = endOf(entry) + 1
    }
  }
}

const endOf = ({ buffer, offset }: StreamEntry): number => revisionOf(buffer, offset) + eventCountOf(buffer, offset)
