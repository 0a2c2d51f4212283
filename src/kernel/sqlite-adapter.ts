import type { DatabaseSync } from 'node:sqlite'

/**
 * SQLite as Node has it, for its file locks alone. `node:sqlite` announces on standard error that it is experimental; only
 * that one warning is held back.
 */
export function loadSqlite(): typeof import('node:sqlite') {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}

/**
 * Holds SQLite's exclusive lock of a file until it is closed or the process dies, a POSIX fcntl lock. Nothing is ever written: the
 * rollback journal stays in memory, so that no hot one is left behind. See observability/process-lock-adapter.ts: nothing else in this process
 * may open the file, and whoever holds it keeps a reference.
 *
 * @throws what SQLite says: `isSqliteBusy` where somebody else holds it
 */
export function openLocked(path: string): DatabaseSync {
  const { DatabaseSync } = loadSqlite()
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

const sqliteBusy = 5

/** Another connection holds the lock. */
export const isSqliteBusy = (error: unknown): boolean => (error as { errcode?: unknown }).errcode === sqliteBusy
