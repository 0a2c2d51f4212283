import { readArchiveIdentity } from '../archive/archive-identity.ts'
import type { ArchiveTarget } from '../archive/archive-target.ts'
import { archivedBeyond } from '../archive/archived-beyond.ts'
import { openArchiveTarget } from '../archive/open-target-adapter.ts'
import { zstd } from '../archive/segment-codec.ts'
import { claimTimeline, type TimelineClaim } from '../backup/timeline-claim.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Lsn, noLsn } from '../kernel/identifiers.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'
import type { Terminal } from './terminal.ts'

/** What an archive has to do with a loss: it may know of more that is lost, and numbers the timelines. */
export interface ArchiveOfLoss {
  /** 0 where it holds nothing behind the end of the journal. */
  readonly archived: Lsn
  claim(wanted: TimelineClaim): Promise<TimelineClaim>
  close(): Promise<void>
}

const none: ArchiveOfLoss = { archived: noLsn, claim: async (wanted) => wanted, close: async () => {} }

/**
 * The archive of the config, as far as it can be asked: what is damaged can be given up without it, and it is said then that
 * it was not asked.
 */
export async function archiveOfLoss(
  terminal: Terminal,
  { archive }: ResolvedConfig,
  storage: JournalStorage,
  journalId: Buffer,
): Promise<ArchiveOfLoss> {
  if (archive === null) return none
  const warn = (what: string): void => terminal.warn(what)
  const target = await openArchiveTarget(archive)
  try {
    if (!(await isOwn(target, journalId))) {
      await target.close()
      return none
    }
    const beyond = await archivedBeyond(target, storage, zstd)
    return {
      archived: beyond?.lastLsn ?? noLsn,
      claim: (wanted) => claimTimeline(target, wanted, warn),
      close: () => target.close(),
    }
  } catch (error) {
    await target.close()
    if (!isCommanderError(error)) throw error
    warn(`the archive was not asked what it holds, nor told of a new timeline: ${error.message}`)
    return none
  }
}

/** False where there is no archive yet. */
async function isOwn(target: ArchiveTarget, journalId: Buffer): Promise<boolean> {
  const found = await readArchiveIdentity(target)
  if (found === null) return false
  if (found.journalId === journalId.toString('hex')) return true
  const message = `${target.location} belongs to the database ${found.journalId}`
  throw new CommanderError('foreign_database', message)
}
