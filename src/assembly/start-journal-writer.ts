import type { Journal, RecoveryReport } from '../journal/journal.ts'
import type { JournalOptions } from '../journal/options.ts'
import { JournalWriter } from '../journal-writer/journal-writer.ts'
import type { FlushOptions } from '../journal-writer/options.ts'
import { storeIsBeyond } from '../journal-writer/own-history.ts'
import type { RetentionSettings } from '../journal-writer/retention.ts'
import { readPosition } from '../tables/meta.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { batchReader } from './journal-replay.ts'
import { recoverJournal } from './recover-journal.ts'
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
  const { environment, transport, addresses, openStore, failed } = surroundings
  const recovered = await recoverJournal(surroundings, settings.journal)
  const { journal, report, storage, guard, applied, checkpoint } = recovered
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
