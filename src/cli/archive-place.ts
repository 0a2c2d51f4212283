import { resolve } from 'node:path'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import { archiveLocationOf, openArchiveTarget, type S3Service } from '../archive/open-target-adapter.ts'
import { type Flags, readSettings } from './settings.ts'

/**
 * A directory, or `s3://bucket/prefix`, as command lines name it. What such a URL does not say, the service and its region,
 * is that of the config's archive.
 *
 * @throws CommanderError `invalid_config`
 */
export async function openPlace(place: string, flags: Flags): Promise<ArchiveTarget> {
  if (!place.startsWith('s3://')) return openArchiveTarget({ directory: resolve(place) })
  return openArchiveTarget(archiveLocationOf(place, await serviceOf(flags)))
}

async function serviceOf({ config: file }: Flags): Promise<S3Service> {
  // Of the flags only the file: the others are the verb's own, and may be named like keys of the config.
  const { archive } = (await readSettings(file === undefined ? {} : { config: file })).config
  if (archive === null || 'directory' in archive) return {}
  const { bucket: _bucket, prefix: _prefix, ...service } = archive.s3
  return service
}
