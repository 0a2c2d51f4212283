import type { Entry } from '../../src/actions/action.ts'
import { JournalReader } from '../../src/journal/reader.ts'
import type { JournalStorage } from '../../src/journal/storage.ts'
import { type Lsn, lsn } from '../../src/kernel/identifiers.ts'
import { entriesIn } from '../../src/testing/journal-watch.ts'

/** One atomic record, as it lies in the journal. */
export interface Frame {
  readonly firstLsn: Lsn
  readonly payload: Buffer
  readonly entries: readonly Entry[]
}

/** Everything that the journal says, from its first entry on. */
export function readFrames(storage: JournalStorage, upTo: Lsn): Frame[] {
  if (upTo === 0) return []
  const reader = new JournalReader(storage, lsn(1))
  try {
    return reader.read(Number.POSITIVE_INFINITY, upTo).map(({ firstLsn, payload }) => {
      return { firstLsn, payload, entries: entriesIn(payload) }
    })
  } finally {
    reader.close()
  }
}
