import fs from 'node:fs'
import path from 'node:path'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { headBytes, type LmdbHeader, readHeader } from './lmdb-header.ts'

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
  try {
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
  } catch (error) {
    throw error instanceof CommanderError ? error : unusable('make', directory, error)
  }
}

/** @throws CommanderError `not_ready` when there is no store yet. */
export function requireData(directory: string): void {
  if (hasData(directory)) return
  throw new CommanderError('not_ready', `there is no store in ${directory} yet; it is made when the database starts`)
}

/**
 * Looks at the head of the data file before LMDB does. For the writer it also makes a file that was cut short, as by
 * a copy that ran out of room, as long as it says: what is missing is then reported as damaged once it is read, where
 * otherwise the process would be killed. A healthy file may be short too, by pages at its end that are free.
 *
 * @returns the bytes that were missing.
 * @throws CommanderError `foreign_database`, `unsupported_version`, `store_failed`
 */
export function inspectData(directory: string, readOnly: boolean): number {
  try {
    const file = dataFileOf(directory)
    const { pageBytes, lastPage } = headerOf(directory, file, readOnly)
    const wholeBytes = (lastPage + 1) * pageBytes
    const missingBytes = wholeBytes - fs.statSync(file).size
    if (readOnly || missingBytes <= 0) return 0
    fs.truncateSync(file, wholeBytes)
    return missingBytes
  } catch (error) {
    throw error instanceof CommanderError ? error : unusable('open', directory, error)
  }
}

function headerOf(directory: string, file: string, readOnly: boolean): LmdbHeader {
  const fd = fs.openSync(file, readOnly ? 'r' : 'r+')
  try {
    const head = Buffer.alloc(headBytes)
    const header = readHeader(head.subarray(0, fs.readSync(fd, head, 0, headBytes, 0)))
    if (header === 'foreign') throw foreignFile(directory)
    if (header === 'other version') throw otherVersion(directory)
    return header
  } finally {
    fs.closeSync(fd)
  }
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

/** Makes a data file that was written by somebody else durable. */
export function flushData(directory: string): void {
  syncPath(dataFileOf(directory))
  syncPath(directory)
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

function foreignFile(directory: string): CommanderError {
  const what = `${dataFileOf(directory)} is not a store, or its head is damaged`
  return new CommanderError('foreign_database', `${what}; correct the data directory or restore a backup`)
}

function otherVersion(directory: string): CommanderError {
  const what = `${dataFileOf(directory)} was written by another version of LMDB`
  return new CommanderError('unsupported_version', `${what}; start the version of CommanderDB that made it`)
}

function unusable(action: string, directory: string, cause: unknown): CommanderError {
  const what = `cannot ${action} the store ${directory}: ${messageOf(cause)}`
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
