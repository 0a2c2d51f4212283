import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { fetchArchivedSegment } from '../archive/file-archived-segment.ts'
import { archiveLocationOf, openArchiveTarget, type S3Service } from '../archive/open-target-adapter.ts'
import { type ArchiveSummary, archiveFaultError, verifyArchive } from '../archive/verify-archive.ts'
import { FileStorage } from '../journal/file-storage.ts'
import { seenAsOne } from './cluster-archive.ts'
import { toJson } from './entry-text.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import { type Flags, readSettings } from './settings.ts'
import { list } from './table.ts'
import type { Terminal } from './terminal.ts'

/** `s3://bucket/prefix`, or a directory that is an archive or a backup. */
export function isArchive(place: string): boolean {
  if (place.startsWith('s3://')) return true
  const path = resolve(place)
  return existsSync(join(path, archiveNames.identity)) || existsSync(join(path, 'segments'))
}

/** For `s3://` URLs, which say nothing of the service: it is that of the config's archive, if that is in S3. */
export async function openArchiveOf(place: string, flags: Flags): Promise<ArchiveTarget> {
  if (!place.startsWith('s3://')) return openArchiveTarget({ directory: resolve(place) })
  const { archive } = (await readSettings(flags)).config
  return openArchiveTarget(archiveLocationOf(place, archive !== null && 's3' in archive ? serviceOf(archive.s3) : {}))
}

function serviceOf({ endpoint, region, forcePathStyle }: S3Service): S3Service {
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
  }
}

/** Checks every object; says each that is damaged, and fails with the first. */
export async function verifyArchiveAt(terminal: Terminal, place: string, flags: Flags): Promise<number> {
  const target = await seenAsOne(await openArchiveOf(place, flags))
  const directory = mkdtempSync(join(tmpdir(), 'commanderdb-verify-'))
  try {
    const storage = new FileStorage(directory)
    const summary = await verifyArchive(target, {
      storage,
      fetch: async (segment) => void (await fetchArchivedSegment(target, segment, join(directory, segment.name))),
    })
    return await conclude(terminal, target.location, summary, flags['json'] === true)
  } finally {
    rmSync(directory, { recursive: true, force: true })
    await target.close()
  }
}

async function conclude(
  terminal: Terminal,
  location: string,
  summary: ArchiveSummary,
  isJson: boolean,
): Promise<number> {
  const { status, segments, frames, bytes, timelines, firstLsn, lastLsn, faults } = summary
  if (segments === 0 && faults.length === 0)
    throw new UsageError(`${location} has no segments: it is no archive, or nothing is archived yet`)
  const facts = list([
    ['status', status],
    ['segments', segments],
    ['frames', frames],
    ['bytes', bytes],
    ['timelines', timelines.join(', ')],
    ['entries', `LSN ${firstLsn} to ${lastLsn}`],
    ...faults.map(
      ({ object, offset, lsn, reason }) =>
        ['damaged', `${object} at byte ${offset}, LSN ${lsn ?? '-'}: ${reason}`] as const,
    ),
  ])
  await terminal.out(isJson ? `${toJson({ kind: 'summary', location, ...summary })}\n` : facts)
  const [first] = faults
  if (first !== undefined) throw archiveFaultError(location, first)
  return exitCodes.done
}
