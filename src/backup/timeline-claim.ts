import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { isCommanderError } from '../kernel/errors.ts'

/** How a timeline began: the object `timelines/….json` of an archive, and the file of that name in a data directory. */
export interface TimelineClaim {
  readonly timeline: number
  readonly parent: number
  /** The first entry that is not the parent's. */
  readonly fromLsn: number
  readonly reason: 'restore' | 'accept-loss'
  /** ISO 8601. */
  readonly at: string
}

export const encodeClaim = (claim: object): Buffer => Buffer.from(`${JSON.stringify(claim, undefined, 2)}\n`)

/**
 * Takes the first number that is free in the archive, so that of two databases restored from it each has its own. An archive
 * that cannot be written is only warned of: to restore from it is worth more.
 */
export async function claimTimeline(
  archive: ArchiveTarget | null,
  wanted: TimelineClaim,
  warn: (what: string) => void,
): Promise<TimelineClaim> {
  if (archive === null) return wanted
  for (let claim = wanted; ; claim = { ...claim, timeline: claim.timeline + 1 }) {
    try {
      if ((await archive.putBytes(archiveNames.timeline(claim.timeline), encodeClaim(claim))) === 'created')
        return claim
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'archive_unavailable') throw error
      warn(`the archive could not be told of timeline ${claim.timeline}: ${error.message}`)
      return claim
    }
  }
}
