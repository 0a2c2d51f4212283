import { prepareCut } from '../journal/cut.ts'
import { type Journal, openJournal, type RecoveryReport } from '../journal/journal.ts'
import type { JournalOptions } from '../journal/options.ts'
import { cleanStopName, segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { StreamFeed } from '../journal-writer/stream-feed.ts'
import { digestBytes } from '../kernel/checksum.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, nextLsn, noLsn } from '../kernel/identifiers.ts'
import type { RootState } from '../state/root.ts'
import type { TokenGuard } from '../state/token-guard.ts'
import { type AppliedFrame, replayStart } from '../tables/applied-frame.ts'
import { commonEnd } from './common-end.ts'
import { guardOf } from './journal-replay.ts'
import type { Surroundings } from './surroundings.ts'

export interface CacheRequest {
  readonly surroundings: Surroundings
  readonly storage: JournalStorage
  readonly options: JournalOptions
  /** Of the store: children begin behind it. */
  readonly root: RootState
  /** What the store has applied: it was committed. */
  readonly applied: Lsn
  readonly appliedFrame: AppliedFrame | null
  readonly feed: StreamFeed
}

export interface OpenCache {
  readonly journal: Journal
  readonly report: RecoveryReport
  readonly guard: TokenGuard
}

/**
 * Opens the local segments of a replicated journal, ending where they still say what the stream does. They are a cache: one that
 * is damaged, or that ends before the entries that children need, is given up and filled again from the stream.
 *
 * I1. What the store has applied was committed, and is in the stream: else it is of another history, and nothing starts.
 */
export async function openStreamCache(request: CacheRequest): Promise<OpenCache> {
  const { storage, root, applied, appliedFrame, feed, surroundings } = request
  const { log } = surroundings.environment
  const found = await openUsable(request)
  const { journal } = found
  const written = journal.writtenLsn
  const after = lsn(Math.max(journal.firstLsn - 1, applied))
  const compared = { storage, written, first: journal.firstLsn, after, feed, applied: appliedFrame }
  const common = await commonEnd(compared).catch(async (error: unknown) => {
    await closed(journal)
    throw error
  })
  if (common >= written) return found
  log.warn({ written, common }, 'the local segments have more than is known to be committed: that is cut off')
  await closed(journal)
  if (common < root.lsn) return begin(request)
  prepareCut(storage, common, written)()
  return open(request)
}

async function openUsable(request: CacheRequest): Promise<OpenCache> {
  const { root, surroundings } = request
  const { log } = surroundings.environment
  try {
    const found = await open(request)
    const { writtenLsn } = found.journal
    if (writtenLsn >= root.lsn) return found
    log.warn({ writtenLsn, rootLsn: root.lsn }, 'the local segments end before what is needed: they are filled anew')
    await closed(found.journal)
  } catch (error) {
    if (!isCommanderError(error) || error.code !== 'journal_corrupt') throw error
    log.warn({ error }, `the local segments are damaged: they are filled anew from the stream (${error.message})`)
  }
  return begin(request)
}

/** An empty cache that begins where children do: the root ends a batch. */
function begin(request: CacheRequest): Promise<OpenCache> {
  discard(request.storage)
  return open(request)
}

/** Newest first: what is left by a crash in between is the beginning of what was there. */
export function discard(storage: JournalStorage): void {
  const names = storage.list()
  if (names.includes(cleanStopName)) storage.remove(cleanStopName)
  for (const { name } of segmentsOf(names).toReversed()) storage.remove(name)
}

async function open({ surroundings, storage, options, root, appliedFrame }: CacheRequest): Promise<OpenCache> {
  const { environment, journalId } = surroundings
  const { guard, onBatch } = guardOf(root, appliedFrame)
  const { journal, report } = await openJournal({
    storage,
    environment,
    journalId,
    serverId: journalId,
    options,
    // The stream vouches for what was flushed, and not this host.
    floorLsn: noLsn,
    base: { nextLsn: nextLsn(root.lsn), digest: Buffer.alloc(digestBytes) },
    replayFrom: replayStart(root.lsn, appliedFrame, segmentsOf(storage.list())[0]?.baseLsn),
    onBatch,
  })
  return { journal, report, guard }
}

function closed(journal: Journal): Promise<void> {
  return new Promise((resolve, reject) => {
    journal.close((error) => (error === null ? resolve() : reject(error)))
  })
}
