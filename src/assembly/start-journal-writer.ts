import type { Journal } from '../journal/journal.ts'
import { openJournal, type RecoveryReport } from '../journal/journal.ts'
import type { JournalOptions } from '../journal/options.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import { JournalWriter } from '../journal-writer/journal-writer.ts'
import type { FlushOptions } from '../journal-writer/options.ts'
import { storeIsBeyond } from '../journal-writer/own-history.ts'
import type { RetentionSettings } from '../journal-writer/retention.ts'
import { TokenGuard } from '../state/token-guard.ts'
import { contradicts, readAppliedFrame, replayStart, storeContradicts } from '../tables/applied-frame.ts'
import { readCheckpoint, readPosition, readRoot } from '../tables/meta.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { flushedFloor } from './flushed-floor.ts'
import { batchReader, replay } from './journal-replay.ts'
import { replayReferee } from './replay-referee.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface JournalWriterSettings {
  readonly journal: JournalOptions
  readonly flush: FlushOptions
  readonly retention: RetentionSettings
  /** Shortest time between two comparisons of the processes' states; 0: never. Default 10,000. */
  readonly attestIntervalMs?: number
}

export interface RunningJournalWriter extends RunningRole {
  readonly writer: JournalWriter
  readonly journal: Journal
  readonly report: RecoveryReport
}

/** Recovers the journal, rebuilds the guard from the store's root and the entries after it, and listens. */
export async function startJournalWriter(
  surroundings: Surroundings,
  settings: JournalWriterSettings,
): Promise<RunningJournalWriter> {
  const { environment, transport, addresses, openStorage, openStore, journalId, failed } = surroundings
  const store = openStore('read')
  const root = readRoot(store, { lookup: () => undefined, keepsPayloads: false })
  const { applied } = readPosition(store)
  const checkpoint = readCheckpoint(store)
  const storage = openStorage()
  const floorLsn = flushedFloor(store, storage)
  const appliedFrame = readAppliedFrame(store)
  await store.close()
  const guard = TokenGuard.of(root)
  const { journal, report } = await openJournal({
    storage,
    environment,
    journalId,
    serverId: journalId,
    options: settings.journal,
    floorLsn,
    replayFrom: replayStart(root.lsn, appliedFrame, segmentsOf(storage.list())[0]?.baseLsn),
    onBatch: ({ payload, firstLsn, entryCount }) => {
      const lastLsn = firstLsn + entryCount - 1
      // Before recovery has changed anything (R9).
      if (appliedFrame !== null && contradicts(appliedFrame, { firstLsn, lastLsn, entries: payload }))
        throw storeContradicts(appliedFrame)
      if (lastLsn > root.lsn) replay(guard, payload, firstLsn, root.lsn)
    },
  })
  await nothingCameIn(openStore, journal)
  const writer = new JournalWriter({
    environment,
    journal,
    guard,
    flush: settings.flush,
    retention: settings.retention,
    batchBytesMax: draftBytesMax(settings.journal),
    readBatch: batchReader(storage),
    applied,
    checkpoint,
    failed,
    referee: replayReferee(surroundings),
    ...(settings.attestIntervalMs === undefined ? {} : { attestIntervalMs: settings.attestIntervalMs }),
  })
  const listener = await transport.listen(addresses.journal, (channel) => writer.accept(channel))
  const stop = async (): Promise<void> => {
    writer.stop()
    await listener.close()
    await new Promise<void>((resolve, reject) => {
      journal.close((error) => (error === null ? resolve() : reject(error)))
    })
  }
  return { writer, journal, report, stop }
}

/**
 * Nobody stops the projection applier while the journal is recovered: what it had heard to be flushed it may have committed
 * meanwhile. Then the journal is to end there (R7), as it would have had to if that had been known before.
 * @throws CommanderError `journal_corrupt`; the next start knows it before
 */
async function nothingCameIn(openStore: Surroundings['openStore'], journal: Journal): Promise<void> {
  const store = openStore('read')
  const { applied } = readPosition(store)
  await store.close()
  if (applied <= journal.writtenLsn) return
  await new Promise<void>((resolve) => journal.close(() => resolve()))
  throw storeIsBeyond(applied, journal.writtenLsn)
}
