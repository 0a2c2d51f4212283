import { CommanderError, messageOf } from '../kernel/errors.ts'

const what: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full; make room there',
  EDQUOT: 'its quota is used up; make room there',
  EROFS: 'it is mounted read-only; mount it for writing',
  EACCES: 'permission is denied; let the user of the database read and write there',
  EPERM: 'permission is denied; let the user of the database read and write there',
  ENOTDIR: 'a part of that path is a file; name a directory',
  EEXIST: 'a part of that path is a file; name a directory',
  ESTALE: 'its network file system has gone; mount it again',
  EIO: 'its disk fails; check it',
}

/** What the system says about a directory that is an archive, in words that say what to do. */
export function directoryError(operation: string, path: string, cause: unknown): CommanderError {
  const systemCode = (cause as { code?: string }).code
  const details = { operation, path, systemCode }
  if (systemCode === 'ENOENT' && operation === 'make')
    return new CommanderError(
      'archive_unavailable',
      `cannot make ${path} for the archive: its file system takes no directory there (ENOENT); name another place`,
      { details, cause },
    )
  if (systemCode === 'ENOENT')
    return new CommanderError('not_found', `cannot ${operation} ${path} in the archive: it does not exist`, {
      details,
      cause,
    })
  const reason = what[systemCode ?? '']
  const text = reason === undefined ? messageOf(cause) : `${reason} (${systemCode})`
  return new CommanderError('archive_unavailable', `cannot ${operation} ${path} in the archive: ${text}`, {
    details,
    cause,
  })
}
