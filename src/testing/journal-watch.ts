import type { Entry } from '../actions/action.ts'
import { decodeEntry } from '../actions/decode.ts'
import { lengthOf, padded } from '../actions/entry-layout.ts'
import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'

/** The entries of a list of whole entries, as they lie in the journal or are on their way there. */
export function entriesIn(payload: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) entries.push(decodeEntry(payload, o))
  return entries
}

/** Reads what is new in a journal, up to a mark that goes on. */
export class JournalWatch {
  readonly #storage: JournalStorage
  #seen: Lsn

  constructor(storage: JournalStorage, seen: Lsn) {
    this.#storage = storage
    this.#seen = seen
  }

  /** The mark may fall when the power fails. */
  upTo(mark: Lsn): readonly Entry[] {
    const from = nextLsn(this.#seen)
    this.#seen = mark
    if (mark < from) return []
    const reader = new JournalReader(this.#storage, from)
    try {
      const batches = reader.read(Number.POSITIVE_INFINITY, mark)
      return batches.flatMap(({ payload, firstLsn }) =>
        entriesIn(payload)
          .map((entry, i) => ({ ...entry, lsn: lsn(firstLsn + i) }))
          .filter((entry) => entry.lsn >= from),
      )
    } finally {
      reader.close()
    }
  }
}
