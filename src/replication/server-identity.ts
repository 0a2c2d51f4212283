import type { JournalStorage } from '../journal/storage.ts'
import type { Random } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { decodeChecked, encodeChecked } from './checked-record.ts'
import type { ServerDisk } from './server-disk.ts'
import type { ServerIdentity } from './server-log.ts'

export const identityName = 'identity.json'
const format = 1

/**
 * Who the directory is; a new identity is made in an empty one (I17: it has to be registered before it votes).
 * @throws CommanderError foreign_cluster; unknown_identity: another server's; journal_corrupt: damaged, or lost while the rest is there
 */
export function claimIdentity(
  disk: ServerDisk,
  storage: JournalStorage,
  random: Random,
  wanted: { readonly serverId: string; readonly clusterId: string },
): ServerIdentity {
  const bytes = storage.readWhole(identityName)
  if (bytes === null) {
    if (disk.directories('').length > 0) throw lost(disk.place)
    const { serverId, clusterId } = wanted
    const made = { serverId, clusterId, identity: random.uuid() }
    storage.writeWhole(identityName, encodeChecked({ format, ...made }))
    return made
  }
  const found = decode(bytes, disk.place)
  if (found.clusterId !== wanted.clusterId) throw foreign(disk.place, found.clusterId, wanted.clusterId)
  if (found.serverId !== wanted.serverId) throw another(disk.place, found.serverId, wanted.serverId)
  return found
}

function decode(bytes: Buffer, place: string): ServerIdentity {
  const record = decodeChecked(bytes) as (ServerIdentity & { readonly format: number }) | null
  if (record === null) throw damaged(place)
  if (record.format !== format)
    throw new CommanderError(
      'unsupported_version',
      `${place}/${identityName} has format ${record.format}, this program knows ${format}: use the CommanderDB release that wrote it`,
      { details: { version: record.format, known: format } },
    )
  const { serverId, clusterId, identity } = record
  return { serverId, clusterId, identity }
}

const advice = 'give the server an empty directory, which is a new identity, and register that one in place of the old'

function damaged(place: string): CommanderError {
  return new CommanderError('journal_corrupt', `${place}/${identityName} is damaged: put it back, or ${advice}`)
}

function lost(place: string): CommanderError {
  return new CommanderError(
    'journal_corrupt',
    `${place} holds other directories and no ${identityName}: it is no journal server's, or that file was lost. Point the server at the right directory, put the file back, or ${advice}`,
  )
}

function foreign(place: string, found: string, wanted: string): CommanderError {
  return new CommanderError(
    'foreign_cluster',
    `${place} belongs to cluster ${found}, this server is configured for cluster ${wanted}: correct replication.clusterId or the directory`,
    { details: { found, wanted } },
  )
}

function another(place: string, found: string, wanted: string): CommanderError {
  return new CommanderError(
    'unknown_identity',
    `${place} belongs to journal server ${found}, this one is ${wanted}: correct the server's id or its directory`,
    { details: { found, wanted } },
  )
}
