import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type ArchiveTarget, archiveNames } from './archive-target.ts'

/** What `archive.json` says: whose archive it is. */
export interface ArchiveIdentity {
  readonly format: 1
  /** Of the journal that the segments are of, 32 hexadecimal digits. */
  readonly journalId: string
  /** When the archive was begun, ISO 8601. Tells this archive from another one that was at the same place before. */
  readonly createdAt: string
  /** It is no archive, but the place of a backup, which is whole once it has its `backup.json`. */
  readonly holds?: 'backup'
}

const bytesMax = 65_536

/** Reads a small object whole. @throws CommanderError `not_found` | `archive_unavailable` | `archive_corrupt` above `most` bytes */
export async function readSmallObject(target: ArchiveTarget, name: string, most: number = bytesMax): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of await target.read(name)) {
    parts.push(part as Buffer)
    bytes += (part as Buffer).length
    if (bytes > most) throw damaged(target, name, `it has more than ${most} bytes`)
  }
  return Buffer.concat(parts)
}

/**
 * Whose archive this is; `null` where there is none yet.
 * @throws CommanderError `archive_unavailable` | `archive_corrupt` | `unsupported_version`
 */
export async function readArchiveIdentity(target: ArchiveTarget): Promise<ArchiveIdentity | null> {
  const bytes = await readSmallObject(target, archiveNames.identity).catch((error: unknown) => {
    if (isCommanderError(error) && error.code === 'not_found') return null
    throw error
  })
  return bytes === null ? null : parse(target, bytes)
}

/**
 * Makes the archive this journal's, or finds that it is.
 * @throws CommanderError `foreign_database` when it is another's; and as `readArchiveIdentity`
 */
export async function claimArchive(
  target: ArchiveTarget,
  journalId: Uint8Array,
  createdAt: string,
  holds?: 'backup',
): Promise<ArchiveIdentity> {
  const own = Buffer.from(journalId).toString('hex')
  const identity: ArchiveIdentity = { format: 1, journalId: own, createdAt, ...(holds === undefined ? {} : { holds }) }
  return mustBe(own, (await readArchiveIdentity(target)) ?? (await begin(target, identity)), target)
}

/**
 * The archive that this journal has there.
 * @throws CommanderError `archive_unavailable` when there is none; and as `claimArchive`
 */
export async function findArchive(target: ArchiveTarget, journalId: Uint8Array): Promise<ArchiveIdentity> {
  const found = await readArchiveIdentity(target)
  if (found !== null) return mustBe(Buffer.from(journalId).toString('hex'), found, target)
  throw new CommanderError(
    'archive_unavailable',
    `the archive ${target.location} is gone: ${archiveNames.identity} was there and is not. ` +
      'Is it mounted? To begin an archive anew, name another place',
    { details: { location: target.location } },
  )
}

function mustBe(own: string, found: ArchiveIdentity, target: ArchiveTarget): ArchiveIdentity {
  if (found.journalId !== own) throw foreign(target, found, own)
  return found
}

async function begin(target: ArchiveTarget, identity: ArchiveIdentity): Promise<ArchiveIdentity> {
  await target.putBytes(archiveNames.identity, Buffer.from(`${JSON.stringify(identity)}\n`))
  // Read back in any case: somebody else may have been first, and a place that keeps nothing shows here.
  const found = await readArchiveIdentity(target)
  if (found !== null) return found
  const message = `the archive ${target.location} said that it has ${archiveNames.identity}, and does not: it keeps nothing; use another`
  throw new CommanderError('archive_corrupt', message)
}

function parse(target: ArchiveTarget, bytes: Buffer): ArchiveIdentity {
  let found: Partial<ArchiveIdentity>
  try {
    found = JSON.parse(bytes.toString('utf8')) as Partial<ArchiveIdentity>
  } catch (cause) {
    throw damaged(target, archiveNames.identity, 'it is not JSON', cause)
  }
  const { format, journalId, createdAt, holds } = found
  if (typeof format === 'number' && format > 1) throw newer(target, format)
  if (
    format !== 1 ||
    typeof journalId !== 'string' ||
    !/^[0-9a-f]{32}$/.test(journalId) ||
    typeof createdAt !== 'string'
  )
    throw damaged(target, archiveNames.identity, 'it has no format, journalId and createdAt')
  return { format, journalId, createdAt, ...(holds === 'backup' ? { holds } : {}) }
}

function foreign(target: ArchiveTarget, found: ArchiveIdentity, own: string): CommanderError {
  return new CommanderError(
    'foreign_database',
    `the archive ${target.location} belongs to the database ${found.journalId}, this one is ${own}: ` +
      'name an archive of its own, each database needs one',
    { details: { location: target.location, journalId: found.journalId, own } },
  )
}

const damaged = (target: ArchiveTarget, name: string, reason: string, cause?: unknown): CommanderError =>
  new CommanderError('archive_corrupt', `${name} in the archive ${target.location} is damaged: ${reason}`, {
    details: { object: name, reason },
    cause,
  })

const newer = (target: ArchiveTarget, version: number): CommanderError =>
  new CommanderError(
    'unsupported_version',
    `the archive ${target.location} has format ${version}, this program knows format 1: use the CommanderDB release that wrote it`,
    { details: { version, known: 1 } },
  )
