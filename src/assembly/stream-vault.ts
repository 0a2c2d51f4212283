import type { ArchiveTarget } from '../archive/archive-target.ts'
import { type ArchiveLocation, openArchiveTarget } from '../archive/open-target-adapter.ts'
import type { StreamVault } from '../tables/archived-streams.ts'

/** The archive as a place for streams. It is opened with the first use, which most databases never make. */
export function streamVaultOf(at: ArchiveLocation | null): StreamVault | null {
  if (at === null) return null
  let opened: Promise<ArchiveTarget> | null = null
  const target = (): Promise<ArchiveTarget> => {
    opened ??= openArchiveTarget(at)
    return opened
  }
  return {
    location: 'directory' in at ? at.directory : `s3://${at.s3.bucket}`,
    read: async (name) => (await target()).read(name),
    putBytes: async (name, bytes) => (await target()).putBytes(name, bytes),
  }
}
