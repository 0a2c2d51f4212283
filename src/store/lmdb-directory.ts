import fs from 'node:fs'
import path from 'node:path'
import { CommanderError, messageOf } from '../kernel/errors.ts'

const dataFile = 'data.mdb'
/** LMDB's reader table and locks. Never opened here: closing it would release the locks of the whole process. */
const lockFile = 'lock.mdb'
const temporarySuffix = '.new'
const pageBytes = 4096

export const dataFileOf = (directory: string): string => path.join(directory, dataFile)

/**
 * For the writer: makes the store when there is none. It is made under another name and renamed once it is flushed,
 * so that a store that is there is whole, and one whose file has gone is never taken for a new one.
 *
 * @param make writes an empty store with its tables into the directory, and lets go of it.
 * @throws CommanderError `store_failed`, `foreign_database`
 */
export function prepareDirectory(directory: string, make: (temporary: string) => void): void {
  attempt(directory, () => {
    const temporary = directory + temporarySuffix
    const parent = path.dirname(directory)
    fs.rmSync(temporary, { recursive: true, force: true })
    if (hasData(directory)) return
    if (!fs.existsSync(parent)) throw missingParent(directory, parent)
    refuseStrangers(directory)
    make(temporary)
    fs.rmSync(path.join(temporary, lockFile), { force: true })
    syncPath(path.join(temporary, dataFile))
    syncPath(temporary)
    fs.renameSync(temporary, directory)
    syncPath(parent)
  })
}

/** @throws CommanderError `not_ready` when there is no store yet. */
export function requireData(directory: string): void {
  if (hasData(directory)) return
  throw new CommanderError('not_ready', `there is no store in ${directory} yet; it is made when the database starts`)
}

/**
 * A file that was cut short, as by a copy that ran out of room, would kill the process when a lost page is touched.
 * As zeros it is reported as damaged instead. A healthy file may be short too, by pages at its end that are free.
 *
 * @returns the bytes that were missing.
 */
export function extendTo(directory: string, bytes: number): number {
  const file = dataFileOf(directory)
  const missing = bytes - fs.statSync(file).size
  if (missing > 0) fs.truncateSync(file, bytes)
  return Math.max(0, missing)
}

/**
 * Whether the file system lets the data file grow by a page. For the writer alone, between two transactions. What it
 * has grown by is left there: a page behind the last one means nothing, but to cut the file is never worth the risk.
 */
export function canGrow(directory: string): boolean {
  try {
    const fd = fs.openSync(dataFileOf(directory), 'r+')
    try {
      return fs.writeSync(fd, Buffer.alloc(pageBytes), 0, pageBytes, fs.fstatSync(fd).size) === pageBytes
    } finally {
      fs.closeSync(fd)
    }
  } catch {
    return false
  }
}

function hasData(directory: string): boolean {
  return fs.existsSync(dataFileOf(directory))
}

function refuseStrangers(directory: string): void {
  if (!fs.existsSync(directory)) return
  const strangers = fs.statSync(directory).isDirectory() ? fs.readdirSync(directory) : [path.basename(directory)]
  if (strangers.length === 0) return
  const what = `${directory} is not a store: it holds ${strangers.slice(0, 5).join(', ')} but no ${dataFile}`
  throw new CommanderError('foreign_database', `${what}; correct the data directory or restore a backup`)
}

function missingParent(directory: string, parent: string): CommanderError {
  return new CommanderError(
    'store_failed',
    `cannot make the store ${directory}: there is no directory ${parent}; make it`,
  )
}

function attempt(directory: string, run: () => void): void {
  try {
    run()
  } catch (error) {
    throw error instanceof CommanderError ? error : notMade(directory, error)
  }
}

function notMade(directory: string, cause: unknown): CommanderError {
  const what = `cannot make the store ${directory}: ${messageOf(cause)}`
  return new CommanderError('store_failed', `${what}; see to the directory, then start again`, { cause })
}

function syncPath(target: string): void {
  const fd = fs.openSync(target, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
