import { type Journal, openJournal, type RecoveryReport } from '../journal/journal.ts'
import type { JournalOptions } from '../journal/options.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { TokenGuard } from '../state/token-guard.ts'
import { readAppliedFrame, replayStart } from '../tables/applied-frame.ts'
import { readCheckpoint, readPosition, readRoot } from '../tables/meta.ts'
import { flushedFloor } from './flushed-floor.ts'
import { guardOf } from './journal-replay.ts'
import type { Surroundings } from './surroundings.ts'

export interface RecoveredJournal {
  readonly journal: Journal
  readonly report: RecoveryReport
  readonly storage: JournalStorage
  /** Of the store's root and the entries after it. */
  readonly guard: TokenGuard
  /** What the store has. */
  readonly applied: Lsn
  readonly checkpoint: Lsn
}

/** Opens the journal of a database that keeps it alone, as far as it goes, and the store lets it. @throws CommanderError `journal_corrupt` */
export async function recoverJournal(
  { environment, openStorage, openStore, journalId }: Omit<Surroundings, 'transport' | 'addresses'>,
  options: JournalOptions,
): Promise<RecoveredJournal> {
  const store = openStore('read')
  const root = readRoot(store, { lookup: () => undefined, keepsPayloads: false })
  const { applied } = readPosition(store)
  const checkpoint = readCheckpoint(store)
  const storage = openStorage()
  const floorLsn = flushedFloor(store, storage)
  const appliedFrame = readAppliedFrame(store)
  await store.close()
  const { guard, onBatch } = guardOf(root, appliedFrame)
  const { journal, report } = await openJournal({
    storage,
    environment,
    journalId,
    serverId: journalId,
    options,
    floorLsn,
    replayFrom: replayStart(root.lsn, appliedFrame, segmentsOf(storage.list())[0]?.baseLsn),
    onBatch,
  })
  return { journal, report, storage, guard, applied, checkpoint }
}
