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

const sqliteBusy = 5

/** Another connection holds the lock. */
export const isSqliteBusy = (error: unknown): boolean => (error as { errcode?: unknown }).errcode === sqliteBusy
