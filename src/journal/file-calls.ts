import fs from 'node:fs'
import { CommanderError, messageOf } from '../kernel/errors.ts'

/** Without this a renamed, new or removed file may be back under its old name after a power failure. */
export function syncDirectory(directory: string): void {
  attempt('flush', directory, () => {
    const fd = fs.openSync(directory, 'r')
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  })
}

export function attempt<T>(what: string, file: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw storageError(what, file, error)
  }
}

export function storageError(what: string, file: string, error: unknown): CommanderError {
  const systemCode = (error as { code?: string }).code
  const details = { operation: what, file, systemCode }
  if (systemCode === 'ENOSPC' || systemCode === 'EDQUOT')
    return new CommanderError(
      'journal_full',
      `cannot ${what} ${file}: the disk is full (${systemCode}); make room there`,
      { details, cause: error },
    )
  if (systemCode === 'ENOENT')
    return new CommanderError('not_found', `cannot ${what} ${file}: it does not exist`, { details, cause: error })
  return new CommanderError(
    'journal_failed',
    `cannot ${what} ${file}: ${messageOf(error)}; check the disk and the permissions`,
    { details, cause: error },
  )
}
