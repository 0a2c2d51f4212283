import { resolve } from 'node:path'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import { DirectoryTarget } from '../archive/file-directory-target.ts'
import { UsageError } from './exit-code.ts'
import type { Flags } from './settings.ts'

/** A directory, or `s3://bucket/prefix`, as command lines name it. */
export async function openPlace(place: string, _flags: Flags): Promise<ArchiveTarget> {
  if (place.startsWith('s3://')) throw new UsageError(`${place} cannot be reached`)
  return new DirectoryTarget(resolve(place))
}
