import { JournalReader } from '../journal/reader.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { CommittedBatch, CommittedBatches } from '../journal-writer/committed-batches.ts'
import type { StreamFeed } from '../journal-writer/stream-feed.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn } from '../kernel/identifiers.ts'
import { type AppliedFrame, contradicts, storeContradicts } from '../tables/applied-frame.ts'

export interface Compared {
  readonly storage: JournalStorage
  /** Where the cache begins, and where it ends. */
  readonly first: Lsn
  readonly written: Lsn
  /** Up to here the cache holds what was committed: it ends a batch. */
  readonly after: Lsn
  readonly feed: StreamFeed
  /** What the store has applied last; compared where the stream shows it. */
  readonly applied: AppliedFrame | null
}

/**
 * Up to where the cache says what the stream does. A node that led may have written more than became committed, and another
 * leader may have put something else there; what is not known to be committed does not count, and comes again if it is.
 *
 * @throws CommanderError `journal_corrupt`: the store has applied what is not in the stream; and what the feed throws
 */
export async function commonEnd(compared: Compared): Promise<Lsn> {
  const { storage, written, after, feed, applied } = compared
  const until = Math.min(await feed.tail(), written)
  if (until <= after) return lsn(Math.min(after, written))
  const { from, batches } = openFeed(compared)
  const reader = new JournalReader(storage, nextLsn(from))
  let common = from
  try {
    while (common < until) {
      const theirs = await nextOf(batches, common)
      const lastLsn = lsn(theirs.firstLsn + theirs.entryCount - 1)
      if (contradicts(applied, { firstLsn: theirs.firstLsn, lastLsn, entries: theirs.payload }))
        throw storeContradicts(applied as AppliedFrame)
      const [ours] = reader.read(1, written)
      if (ours === undefined || !isSame(ours, theirs)) break
      common = lastLsn
    }
  } finally {
    reader.close()
    batches.close()
  }
  return common
}

/** With the frame that the store has applied last, where both still have it. */
function openFeed({ first, after, feed, applied }: Compared): {
  readonly from: Lsn
  readonly batches: CommittedBatches
} {
  const from = applied === null || applied.firstLsn < first ? after : lsn(Math.min(after, applied.firstLsn - 1))
  try {
    return { from, batches: feed.open(from) }
  } catch (error) {
    if (!isCommanderError(error) || error.code !== 'log_trimmed' || from === after) throw error
    return { from: after, batches: feed.open(after) }
  }
}

function nextOf(batches: CommittedBatches, after: Lsn): Promise<CommittedBatch> {
  return new Promise((resolve) => {
    const look = (): void => {
      const batch = batches.next(after)
      if (batch !== null) resolve(batch)
    }
    batches.onMore(look)
    look()
  })
}

const isSame = (a: CommittedBatch, b: CommittedBatch): boolean =>
  a.firstLsn === b.firstLsn && a.entryCount === b.entryCount && a.payload.equals(b.payload)
