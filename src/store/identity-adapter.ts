import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Clock, Random } from '../kernel/environment.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { unfinished, writeDurably } from '../kernel/write-durably-adapter.ts'
import { clusterPlaceName } from './cluster-place-adapter.ts'

/** `identity.json` in the data directory: says that the directory is a CommanderDB database, which one, and in which format. */
export interface DatabaseIdentity {
  /** UUID, made with the database and never changed. */
  readonly databaseId: string
  /** Layout of the data directory. */
  readonly format: number
  /** ISO 8601 UTC. */
  readonly createdAt: string
}

export const dataDirectoryFormat = 1
const fileName = 'identity.json'
/** May stand in a directory without an identity: our own lock directory, a crash while making it, a file system's own. */
const harmless: ReadonlySet<string> = new Set([
  'run',
  unfinished(fileName),
  clusterPlaceName,
  unfinished(clusterPlaceName),
  'lost+found',
])

/**
 * Reads the identity and changes nothing, so it can be asked before anything is made in a stranger's directory.
 *
 * @returns undefined when the directory is absent or empty: a database can be made there.
 * @throws CommanderError `foreign_database` (something else is in it, or the identity is damaged), `unsupported_version`
 */
export function readIdentity(dataDir: string): DatabaseIdentity | undefined {
  const directory = resolve(dataDir)
  const names = list(directory)
  if (names.includes(fileName)) return parse(readFileSync(join(directory, fileName), 'utf8'), directory)
  const stranger = names.find((name) => !harmless.has(name))
  if (stranger === undefined) return undefined
  throw foreign(directory, `it has no ${fileName} but is not empty (there is ${stranger})`, 'choose an empty directory')
}

/**
 * Reads the identity, or makes one, durably, in an absent or empty directory. Call it while holding the database's lock.
 *
 * @param databaseId - of the cluster that a new directory is of. Default: a new one.
 */
export function openIdentity(
  dataDir: string,
  environment: { readonly clock: Clock; readonly random: Random },
  databaseId: string = environment.random.uuid(),
): DatabaseIdentity {
  const known = readIdentity(dataDir)
  if (known !== undefined) return known
  const createdAt = new Date(environment.clock.wallMs()).toISOString()
  const identity = { databaseId, format: dataDirectoryFormat, createdAt }
  writeIdentity(dataDir, identity)
  return identity
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw foreign(
      directory,
      `it cannot be listed (${messageOf(error)})`,
      'choose a directory that this user can read and write',
    )
  }
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function parse(text: string, directory: string): DatabaseIdentity {
  let value: Partial<DatabaseIdentity> | null
  try {
    value = JSON.parse(text) as Partial<DatabaseIdentity> | null
  } catch (error) {
    throw damaged(directory, messageOf(error))
  }
  const { databaseId, format, createdAt } = value ?? {}
  if (typeof databaseId !== 'string' || !uuidPattern.test(databaseId)) throw damaged(directory, 'databaseId is no UUID')
  if (typeof format !== 'number' || !Number.isSafeInteger(format) || format < 1)
    throw damaged(directory, 'format is no number')
  if (typeof createdAt !== 'string' || Number.isNaN(Date.parse(createdAt)))
    throw damaged(directory, 'createdAt is no time')
  if (format > dataDirectoryFormat) {
    const message = `${directory} has format ${format}, this version knows up to ${dataDirectoryFormat}; upgrade CommanderDB`
    throw new CommanderError('unsupported_version', message)
  }
  return { databaseId, format, createdAt }
}

function damaged(directory: string, reason: string): CommanderError {
  return foreign(
    directory,
    `its ${fileName} is damaged (${reason})`,
    'restore the file from a backup, or choose another directory',
  )
}

function foreign(directory: string, reason: string, advice: string): CommanderError {
  return new CommanderError('foreign_database', `${directory} is not a CommanderDB database: ${reason}; ${advice}`, {
    details: { directory },
  })
}

/** Makes the directory a database: after a crash there is all of the file or nothing. */
export const writeIdentity = (dataDir: string, identity: DatabaseIdentity): void =>
  writeDurably(resolve(dataDir), fileName, `${JSON.stringify(identity, undefined, 2)}\n`)
