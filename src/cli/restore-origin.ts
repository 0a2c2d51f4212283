import { type ArchiveIdentity, readArchiveIdentity } from '../archive/archive-identity.ts'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { type BackupManifest, readManifest } from '../backup/backup-manifest.ts'
import { verifiedTarget } from '../backup/verified-target.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { type DatabaseIdentity, dataDirectoryFormat } from '../store/identity-adapter.ts'
import { joined } from './cluster-archive.ts'
import { UsageError } from './exit-code.ts'
import type { Flags } from './settings.ts'
import type { Terminal } from './terminal.ts'

/** What is restored from, and whose it is. */
export interface Origin {
  readonly source: ArchiveTarget
  readonly manifest: BackupManifest | null
  readonly archive: ArchiveTarget | null
  readonly identity: DatabaseIdentity
}

/**
 * Finds out what is at the place that was named, and which archive goes on from it.
 * @throws CommanderError `not_found`, `foreign_database`, `archive_corrupt`, `archive_unavailable`
 */
export async function originOf(
  terminal: Terminal,
  from: string,
  { archive: named }: Flags,
  open: (name: string) => Promise<ArchiveTarget>,
): Promise<Origin> {
  const place = await open(from)
  const manifest = await readManifest(place)
  if (manifest !== null) {
    const archive = await archiveOf(terminal, manifest, typeof named === 'string' ? named : null, open)
    return {
      ...joined(terminal, { source: verifiedTarget(place, manifest), manifest, archive }),
      identity: manifest.database,
    }
  }
  const found = await readArchiveIdentity(place)
  if (found === null) throw new CommanderError('not_found', `${place.location} holds neither a backup nor an archive`)
  if (named !== undefined)
    throw new UsageError(`${from} is an archive itself; --archive is for what came after a backup`)
  if (found.holds === 'backup') throw brokenOff(place, found.createdAt)
  const { journalId, createdAt } = found
  return {
    source: place,
    manifest,
    archive: null,
    identity: { databaseId: uuidOf(journalId), format: dataDirectoryFormat, createdAt },
  }
}

function brokenOff({ location }: ArchiveTarget, startedAt: string): CommanderError {
  return new CommanderError(
    'archive_corrupt',
    `${location} holds a backup that is not whole: it was begun at ${startedAt} and has no ${archiveNames.backup}. ` +
      'It was broken off, or that object was lost; restore another backup, or the archive',
    { details: { location, object: archiveNames.backup } },
  )
}

/** The one that was named, or that the backup names if it can be reached. */
async function archiveOf(
  terminal: Terminal,
  manifest: BackupManifest,
  named: string | null,
  open: (name: string) => Promise<ArchiveTarget>,
): Promise<ArchiveTarget | null> {
  const name = named ?? manifest.archive
  if (name === null) return null
  const lacks = (why: string): null => {
    if (named !== null) throw new CommanderError('archive_unavailable', `the archive ${named} ${why}`)
    terminal.warn(`the archive of the backup, ${name}, ${why}: only the backup itself is restored`)
    return null
  }
  const found = await opened(name, open).catch((error: unknown) => {
    if (named !== null || !isCommanderError(error) || error.code !== 'archive_unavailable') throw error
    return lacks(`cannot be reached (${messageOf(error)})`)
  })
  if (found === null) return null
  const { target, identity } = found
  if (identity === null) return lacks('is not there')
  if (identity.journalId === manifest.journalId) return target
  throw new CommanderError(
    'foreign_database',
    `the archive ${target.location} is of the database ${identity.journalId}, the backup of ${manifest.journalId}: name the archive of the same database`,
    { details: { archive: identity.journalId, backup: manifest.journalId } },
  )
}

async function opened(
  name: string,
  open: (name: string) => Promise<ArchiveTarget>,
): Promise<{ readonly target: ArchiveTarget; readonly identity: ArchiveIdentity | null }> {
  const target = await open(name)
  return { target, identity: await readArchiveIdentity(target) }
}

const uuidOf = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
