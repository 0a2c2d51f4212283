import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { flushedFloor } from '../assembly/flushed-floor.ts'
import { FileStorage } from '../journal/file-storage.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Lsn, noLsn } from '../kernel/identifiers.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { openLmdbStore } from '../store/lmdb-store.ts'
import type { DatabaseStatus } from '../supervisor/control-protocol.ts'
import { requestStatus } from '../supervisor/status-client.ts'
import { allTables } from '../tables/table-names.ts'
import { UsageError } from './exit-code.ts'
import { type Flags, findDataDirectory } from './settings.ts'
import { controlClient } from './target.ts'

/** Where a journal is, found on disk. */
export interface JournalDirectory {
  /** Absolute path of the directory with the segments. */
  readonly path: string
  readonly storage: JournalStorage
  /** The database that it belongs to; null for an archive. */
  readonly dataDir: string | null
}

/** @param directory a data directory, or one with segments; default: the data directory of the flags. */
export async function findJournal(directory: string | undefined, flags: Flags): Promise<JournalDirectory> {
  const given = directory === undefined ? await findDataDirectory(flags) : resolve(directory)
  const inside = join(given, 'journal')
  const path = existsSync(inside) ? inside : given
  // Asked first, because opening a storage makes its directory.
  if (!existsSync(path) || !readdirSync(path).some((name) => name.endsWith('.segment'))) {
    throw new UsageError(`${given} is no data directory and has no segments of a journal; name one that is or has`)
  }
  const dataDir = existsSync(inside) ? given : dirname(given)
  return { path, storage: new FileStorage(path), dataDir: existsSync(join(dataDir, 'identity.json')) ? dataDir : null }
}

/** The status of the database whose journal this is, while it runs. */
export async function runningDatabase({ dataDir }: JournalDirectory): Promise<DatabaseStatus | null> {
  if (dataDir === null) return null
  try {
    return await requestStatus(controlClient(dataDir))
  } catch (error) {
    // A copy of a directory has sockets that nobody would listen at: they are open to others, or no sockets any more.
    if (isCommanderError(error) && (error.code === 'no_database' || error.code === 'invalid_config')) return null
    throw error
  }
}

/** @throws CommanderError `database_locked`: bytes that are just being written look like damage. */
export async function assertStopped(journal: JournalDirectory): Promise<void> {
  const status = await runningDatabase(journal)
  if (status === null) return
  const pid = status.processes.find(({ role }) => role === 'supervisor')?.pid
  const message = `process ${pid} has the database in ${status.dataDir} open; stop it first, with commanderdb stop`
  throw new CommanderError('database_locked', message)
}

/** What the store has applied, and remembers as archived, had been flushed to the journal: an LSN that must be there. */
export async function floorOf({ dataDir, storage }: JournalDirectory): Promise<Lsn> {
  const path = dataDir === null ? '' : join(dataDir, 'store')
  if (dataDir === null || !existsSync(path)) return noLsn
  const environment = createSystemEnvironment()
  const store = openLmdbStore({ path, tables: allTables, readOnly: true, environment })
  try {
    return flushedFloor(store, storage)
  } finally {
    await store.close()
  }
}
