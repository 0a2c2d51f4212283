import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { makeDirectoryNow } from '../kernel/make-directory-adapter.ts'
import { isSqliteBusy, openLocked } from '../kernel/sqlite-adapter.ts'

/**
 * One database per directory. The lock is SQLite's exclusive file lock, that is a POSIX fcntl lock: the kernel frees
 * it the moment its process dies, however it dies, and a child process does not inherit it.
 *
 * Nothing else may open and close the lock files in the same process: POSIX drops a process's locks on a file when
 * any of its descriptors of that file is closed.
 */
export type LockName = 'database' | 'journal-writer' | 'journal-server'

export interface LockHolder {
  readonly pid: number
  /** ISO 8601 UTC. */
  readonly startedAt: string
  readonly host: string
}

export interface ProcessLock {
  /** Idempotent. Not needed before an exit. */
  release(): void
}

const files: Readonly<Record<LockName, { readonly lock: string; readonly holder: string }>> = {
  database: { lock: 'lock.sqlite', holder: 'holder.json' },
  'journal-writer': { lock: 'journal-writer.lock', holder: 'journal-writer.holder.json' },
  'journal-server': { lock: 'journal-server.lock', holder: 'journal-server.holder.json' },
}

/** SQLite closes a connection that is garbage-collected, which would free the lock of a holder that keeps no reference. */
const heldConnections = new Set<DatabaseSync>()

/** The private directory (0700) for sockets and locks of one database. */
export function runDirectoryOf(dataDir: string): string {
  return join(resolve(dataDir), 'run')
}

/**
 * @param dataDir made, with its `run` directory, when absent.
 * @throws CommanderError `database_locked` when another process (or this one) holds the lock.
 */
export function lockDatabase(dataDir: string, name: LockName): ProcessLock {
  const runDirectory = runDirectoryOf(dataDir)
  makeRunDirectory(dataDir, runDirectory)
  const holderPath = join(runDirectory, files[name].holder)
  const database = openExclusively(join(runDirectory, files[name].lock), dataDir, name)
  const startedAt = new Date(performance.timeOrigin).toISOString()
  const holder: LockHolder = { pid: process.pid, startedAt, host: hostname() }
  writeFileSync(holderPath, `${JSON.stringify(holder)}\n`)
  heldConnections.add(database)
  return {
    release() {
      if (!heldConnections.delete(database)) return
      rmSync(holderPath, { force: true })
      database.close()
    },
  }
}

function makeRunDirectory(dataDir: string, runDirectory: string): void {
  try {
    makeDirectoryNow(runDirectory)
  } catch (error) {
    throw cannotMake(runDirectory, resolve(dataDir), error)
  }
}

function cannotMake(runDirectory: string, directory: string, cause: unknown): CommanderError {
  const message = `cannot make ${runDirectory}: ${messageOf(cause)}; choose another --data-dir, or let this user write there`
  return new CommanderError('invalid_config', message, { details: { directory }, cause })
}

/** Who wrote itself down as the holder last; it may be gone. */
export function readLockHolder(dataDir: string, name: LockName): LockHolder | undefined {
  try {
    return JSON.parse(readFileSync(join(runDirectoryOf(dataDir), files[name].holder), 'utf8')) as LockHolder
  } catch {
    return undefined
  }
}

function openExclusively(path: string, dataDir: string, name: LockName): DatabaseSync {
  try {
    return openLocked(path)
  } catch (error) {
    if (isSqliteBusy(error)) throw lockedError(dataDir, name)
    throw unusable(path, error)
  }
}

const whatOf: Readonly<Record<LockName, string>> = {
  database: 'the database in',
  'journal-writer': 'the journal of',
  'journal-server': 'the journal server in',
}

function unusable(path: string, cause: unknown): CommanderError {
  const message = `cannot lock ${path}: ${messageOf(cause)}; check the disk, or move the file away if it is damaged`
  return new CommanderError('internal', message, { cause })
}

function lockedError(dataDir: string, name: LockName): CommanderError {
  const directory = resolve(dataDir)
  const holder = readLockHolder(dataDir, name)
  const who =
    holder === undefined
      ? 'another process'
      : `process ${holder.pid} on ${holder.host}, running since ${holder.startedAt},`
  const what = whatOf[name]
  const advice =
    name === 'database' ? 'stop it first, or choose another --data-dir' : 'wait until it has ended, or end it'
  return new CommanderError('database_locked', `${who} has ${what} ${directory} open; ${advice}`, {
    details: { directory, ...(holder === undefined ? {} : { holder }) },
  })
}
