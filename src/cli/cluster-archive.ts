import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { StreamSegments } from '../archive/stream-segments.ts'
import { databaseStream } from '../assembly/database-stream.ts'
import type { BackupManifest } from '../backup/backup-manifest.ts'
import { newestWallMs } from '../backup/newest-wall-ms.ts'
import type { Terminal } from './terminal.ts'

/** A place to restore from or to verify: the archive of a cluster is seen as that of one database. @throws CommanderError as `StreamSegments.over` */
export const seenAsOne = (target: ArchiveTarget): Promise<ArchiveTarget> =>
  StreamSegments.over({ target, stream: databaseStream, wallMsOf: newestWallMs })

export interface Sources {
  readonly source: ArchiveTarget
  readonly manifest: BackupManifest
  readonly archive: ArchiveTarget | null
}

/**
 * A backup of a node has that node's own segments, and the archive of its cluster has the stream's: they hold the same entries, and do not
 * join. So all segments come from the archive where it has everything that the backup has, and else from the backup alone.
 */
export function joined(terminal: Terminal, { source, manifest, archive }: Sources): Sources {
  if (!(archive instanceof StreamSegments)) return { source, manifest, archive }
  const { range, location } = archive
  if (range !== null && range.firstLsn <= manifest.fromLsn && range.lastLsn >= manifest.toLsn)
    // The digest is of a frame of the node's own segments; the state's hash is compared all the same.
    return { source: withoutSegments(source), manifest: { ...manifest, toDigest: '' }, archive }
  const what = range === null ? 'has gaps' : `has LSN ${range.firstLsn} to ${range.lastLsn}`
  terminal.warn(
    `the archive ${location} ${what}, which is not all of LSN ${manifest.fromLsn} to ${manifest.toLsn}: only the backup itself is restored`,
  )
  return { source, manifest, archive: null }
}

const withoutSegments = (target: ArchiveTarget): ArchiveTarget => ({
  location: target.location,
  list: async (prefix, after) =>
    (await target.list(prefix, after)).filter((name) => !name.startsWith(archiveNames.segments)),
  putFile: (name, path) => target.putFile(name, path),
  putStream: (name, stream) => target.putStream(name, stream),
  putBytes: (name, bytes) => target.putBytes(name, bytes),
  read: (name) => target.read(name),
  check: (name) => target.check(name),
  close: () => target.close(),
})
