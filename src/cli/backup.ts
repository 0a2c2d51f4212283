import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import { addressesOf } from '../assembly/file-surroundings-adapter.ts'
import type { BackupManifest } from '../backup/backup-manifest.ts'
import { copyStore } from '../backup/store-copy-adapter.ts'
import { takeBackup } from '../backup/take-backup.ts'
import { holdJournal } from '../ipc/applier-hold.ts'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import { FileStorage } from '../journal/file-storage.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import { openPlace } from './archive-place.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import { whenInterrupted } from './interruption.ts'
import { type Flags, readSettings } from './settings.ts'
import { list } from './table.ts'
import { findTarget, noDatabase, statusOf } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Copies a running database, while commands run, to an empty place. */
export async function backup(terminal: Terminal, to: string, flags: Flags): Promise<number> {
  const found = await findTarget(flags)
  if (found.kind === 'url') throw new UsageError('backup works by --data-dir, on the host of the database')
  const { archive } = await statusOf(found.dataDir)
  const target = await openPlace(to, flags)
  const forget = whenInterrupted(() => {
    terminal.warn(`the backup was interrupted: ${target.location} holds no backup; remove it`)
  })
  try {
    const manifest = await take(terminal, target, found.dataDir, archive?.location ?? (await archiveNamedBy(flags)))
    await terminal.out(
      flags['json'] === true
        ? `${JSON.stringify({ location: target.location, ...manifest })}\n`
        : textOf(target, manifest),
    )
    return exitCodes.done
  } finally {
    forget()
    await target.close()
  }
}

async function take(
  terminal: Terminal,
  target: ArchiveTarget,
  dataDir: string,
  archive: string | null,
): Promise<BackupManifest> {
  const database = readIdentity(dataDir)
  if (database === undefined) throw noDatabase(dataDir, null)
  const environment = createSystemEnvironment()
  const hold = await holdJournal(
    createNodeIpcTransport(environment),
    addressesOf(dataDir).applier,
    environment.scheduler,
  )
  try {
    return await takeBackup({
      target,
      clock: environment.clock,
      database,
      journalId: Buffer.from(database.databaseId.replaceAll('-', ''), 'hex'),
      storage: new FileStorage(join(dataDir, 'journal')),
      copyStore: () => copyStore(dataDir, roomFor(target), environment),
      flushed: () => hold.flushed(),
      releaseJournal: () => hold.release(),
      archive,
      timelines: timelinesOf(dataDir),
      pause: () => new Promise((done) => environment.scheduler.soon(done)),
      progress: (what) => terminal.isInteractive && terminal.error(`backup: ${what}\n`),
    })
  } finally {
    hold.release()
  }
}

/** For the copy of the store: beside the backup, where there must be room anyhow; for a bucket where temporary files go. */
function roomFor(target: ArchiveTarget): string {
  return target.location.startsWith('s3://')
    ? mkdtempSync(join(tmpdir(), 'commanderdb-backup-'))
    : join(target.location, 'unfinished')
}

function timelinesOf(dataDir: string): { readonly name: string; readonly bytes: Buffer }[] {
  const directory = join(dataDir, 'timelines')
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((name) => /^\d{8}\.json$/.test(name))
    .map((name) => ({ name: `timelines/${name}`, bytes: readFileSync(join(directory, name)) }))
}

/** As the config says it, while the database has not said yet what it uses. */
async function archiveNamedBy({ config: file }: Flags): Promise<string | null> {
  const { archive } = (await readSettings(file === undefined ? {} : { config: file })).config
  if (archive === null) return null
  if ('directory' in archive) return archive.directory
  return `s3://${archive.s3.bucket}${archive.s3.prefix === undefined ? '' : `/${archive.s3.prefix}`}`
}

function textOf({ location }: ArchiveTarget, manifest: BackupManifest): string {
  const { toLsn, toTime, timeline, objects, archive } = manifest
  const bytes = objects.reduce((sum, object) => sum + object.bytes, 0)
  return list([
    ['backup', location],
    ['up to', `LSN ${toLsn}, ${toTime}, timeline ${timeline}`],
    ['objects', `${objects.length}, ${bytes} bytes`],
    ['archive', archive ?? 'none: what comes after the backup is in no other place'],
  ])
}
