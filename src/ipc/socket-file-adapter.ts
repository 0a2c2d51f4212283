import { chmodSync, lstatSync, realpathSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectoryNow } from '../kernel/make-directory-adapter.ts'
import { socketPathOf } from './socket-address.ts'

const userId = process.getuid?.() ?? -1

/** The path to bind or to connect to, the same before and after its directory is made. */
export function locateSocket(address: string): string {
  const path = resolve(address)
  return socketPathOf(join(realDirectory(dirname(path)), basename(path)), { temporaryDirectory: tmpdir(), userId })
}

function realDirectory(directory: string): string {
  try {
    return realpathSync(directory)
  } catch {
    const parent = dirname(directory)
    return parent === directory ? directory : join(realDirectory(parent), basename(directory))
  }
}

/**
 * Makes the directory of a socket, for this user only. One that exists is used as it is, never changed: it may be shared.
 *
 * @throws CommanderError `invalid_config` when others may enter it, or when it is another user's or no directory.
 */
export function prepareSocketDirectory(path: string): void {
  const directory = dirname(path)
  if (makeDirectoryNow(directory) !== undefined) chmodSync(directory, 0o700)
  assertPrivate(directory)
}

/** Whoever can write to the directory could have put a socket of his own there. */
export function assertPrivate(directory: string): void {
  const stat = lstatSync(directory)
  const wrong = !stat.isDirectory()
    ? 'is not a directory'
    : userId >= 0 && stat.uid !== userId
      ? `belongs to user ${stat.uid} and not to ${userId}`
      : userId >= 0 && (stat.mode & 0o077) !== 0
        ? `is open to other users (mode ${(stat.mode & 0o777).toString(8)})`
        : null
  if (wrong === null) return
  throw new CommanderError('invalid_config', `the socket directory ${directory} ${wrong}; chmod 700 it or use another`)
}

/**
 * Removes the socket file that a killed process left. Nobody listens there exactly when a connection is refused.
 *
 * @throws CommanderError `database_locked` when somebody answers, `invalid_config` when it is no socket.
 */
export async function removeStaleSocket(path: string, address: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) throw new CommanderError('invalid_config', `${path} exists and is no socket; remove it`)
  const code = await probe(path)
  if (code === 'ENOENT') return
  if (code !== 'ECONNREFUSED')
    throw new CommanderError('database_locked', `somebody listens at ${address} already (${code}); stop it first`)
  try {
    unlinkSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    throw cannotRemove(path, cause)
  }
}

function cannotRemove(path: string, cause: unknown): CommanderError {
  const message = `the stale socket ${path} cannot be removed: ${messageOf(cause)}; remove it`
  return new CommanderError('invalid_config', message, { cause })
}

function probe(path: string): Promise<string> {
  const { promise, resolve: settle } = Promise.withResolvers<string>()
  const socket = connect(path)
  socket.once('connect', () => {
    socket.destroy()
    settle('it answers')
  })
  socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
  return promise
}
