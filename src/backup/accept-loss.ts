import { forgetGivingUp, readGivingUp, writeGivingUp } from '../journal/giving-up.ts'
import { openJournal } from '../journal/journal.ts'
import type { JournalOptions } from '../journal/options.ts'
import { newestOf } from '../journal/recovery.ts'
import { type JournalStorage, temporarySuffix } from '../journal/storage.ts'
import type { Environment } from '../kernel/environment.ts'
import { lsn, noLsn } from '../kernel/identifiers.ts'
import { type Look, type LookRequest, lookForLoss } from './loss-look.ts'
import type { TimelineClaim } from './timeline-claim.ts'

export interface LossRequest extends LookRequest {
  readonly environment: Environment
  readonly options: JournalOptions
  /** Takes a number for the timeline that begins, before it is used: the one wanted, or a higher one that is free. */
  readonly claim: (wanted: TimelineClaim) => Promise<TimelineClaim>
  /** Keeps the record, and sets the store aside; when that was cut short it is called again, with the same `at`. */
  readonly keep: (loss: Loss) => void
}

/** What an operator gave up: for the record. */
export interface Loss {
  readonly timeline: number
  readonly parent: number
  /** The last entry that is left. */
  readonly endLsn: number
  /** The first entry that was given up, and up to where entries are known to have been flushed; `null` when only old ones went. */
  readonly lost: { readonly fromLsn: number; readonly toLsnAtLeast: number } | null
  readonly damage: {
    readonly segment: string
    readonly offset: number
    readonly lsn: number
    readonly reason: string
  } | null
  /** Files of the journal that now hold what was given up. */
  readonly keptAside: readonly { readonly name: string; readonly bytes: number }[]
  /** The store knew entries that are gone, or that the journal has lost before: it must be set aside, and is built again from the journal. */
  readonly storeIsAhead: boolean
  /** ISO 8601. */
  readonly at: string
}

/** As it is written down before anything is changed. */
interface Begun extends Omit<Loss, 'keptAside'> {
  /** What was kept aside by others, before. */
  readonly asideBefore: readonly string[]
}

/**
 * Gives up what is damaged or missing in a stopped database's journal, keeps it aside, and starts a new timeline. Decides
 * everything before it changes anything. `null`: there is nothing to give up.
 *
 * I1. Whenever it is cut short, either nothing has been changed, or what is being given up is written down in the journal's
 *     directory: nobody opens the journal then, and the next call ends what was begun.
 *
 * @throws CommanderError `journal_corrupt` where what would be left cannot be gone on from; `foreign_database`,
 * `unsupported_version`, `journal_failed`
 */
export async function acceptLoss(given: LossRequest): Promise<Loss | null> {
  const { storage } = given
  const before = readGivingUp(storage) as Begun | null
  // A store that is to be set aside vouches for nothing any more.
  const request = before?.storeIsAhead === true ? withoutStore(given) : given
  const look = lookForLoss(request)
  if (!hasToGiveUp(look)) {
    if (before === null) return null
    if (isUndone(before, look, storage)) {
      forgetGivingUp(storage)
      return null
    }
  }
  const begun = await begunOf(request, look, before)
  writeGivingUp(storage, begun) // I1
  const { timeline, endLsn } = await carryOut(request, look, begun)
  const { asideBefore: _, lost, ...rest } = begun
  const loss: Loss = {
    ...rest,
    timeline,
    endLsn,
    lost: lost === null ? null : { fromLsn: endLsn + 1, toLsnAtLeast: Math.max(endLsn + 1, lost.toLsnAtLeast) },
    keptAside: keptSince(begun, storage).map((name) => ({ name, bytes: bytesOf(storage, name) })),
  }
  request.keep(loss)
  forgetGivingUp(storage)
  return loss
}

const withoutStore = (request: LossRequest): LossRequest => ({
  ...request,
  root: noLsn,
  applied: noLsn,
  appliedFrame: null,
})

const hasToGiveUp = ({ decision, losesOlder, storeDiffers }: Look): boolean =>
  decision.action === 'giveUp' || losesOlder || storeDiffers

/** It was cut short before it changed anything, and somebody has put back what was damaged. */
function isUndone(begun: Begun, { scan }: Look, storage: JournalStorage): boolean {
  if (begun.lost !== null) return scan.end.nextLsn - 1 > begun.endLsn
  return !begun.storeIsAhead && keptSince(begun, storage).length === 0
}

async function begunOf(request: LossRequest, look: Look, before: Begun | null): Promise<Begun> {
  const { storage, environment, applied } = request
  const { bad, floorLsn, end, segments } = look.scan
  const fromLsn = end.nextLsn
  const at = before?.at ?? new Date(environment.clock.wallMs()).toISOString()
  const newest = newestOf(segments)
  const asideBefore = before?.asideBefore ?? asideIn(storage)
  const storeIsAhead = before?.storeIsAhead === true || applied >= fromLsn || look.storeDiffers
  const common = { endLsn: fromLsn - 1, damage: before?.damage ?? bad, storeIsAhead, at, asideBefore }
  if (look.decision.action !== 'giveUp') {
    const { timeline, parent, lost } = before ?? { timeline: newest, parent: newest, lost: null }
    return { ...common, damage: look.losesOlder ? common.damage : (before?.damage ?? null), timeline, parent, lost }
  }
  const toLsnAtLeast = Math.max(fromLsn, floorLsn, applied, before?.lost?.toLsnAtLeast ?? 0)
  const lost = { fromLsn, toLsnAtLeast }
  // Its number was taken when it was begun.
  if (before?.lost?.fromLsn === fromLsn) return { ...common, timeline: before.timeline, parent: before.parent, lost }
  const parent = end.segment?.header?.timeline ?? 1
  const { timeline } = await request.claim({ timeline: newest + 1, parent, fromLsn, reason: 'accept-loss', at })
  return { ...common, timeline, parent, lost }
}

/** @returns where the journal goes on */
async function carryOut(
  { storage, environment, journalId, options, applied, archived }: LossRequest,
  { scan, decision, losesOlder, replayFrom }: Look,
  begun: Begun,
): Promise<Pick<Loss, 'timeline' | 'endLsn'>> {
  const newest = newestOf(scan.segments)
  const beginsTimeline = begun.lost !== null && newest < begun.timeline
  if (decision.action !== 'giveUp' && !losesOlder && !beginsTimeline)
    return { timeline: newest, endLsn: scan.end.nextLsn - 1 }
  const floorLsn = lsn(Math.max(applied, archived))
  const newTimeline = begun.lost === null ? 0 : begun.timeline
  const opening = { storage, environment, journalId, serverId: journalId, options, floorLsn, replayFrom }
  const { journal, report } = await openJournal({ ...opening, acceptLoss: true, newTimeline, beginsTimeline })
  await new Promise<void>((resolve, reject) => {
    journal.close((error) => (error === null ? resolve() : reject(error)))
  })
  return { timeline: report.timeline, endLsn: report.recoveredLsn }
}

const asideIn = (storage: JournalStorage): string[] => storage.list().filter((name) => name.startsWith('lost-'))

const keptSince = ({ asideBefore }: Begun, storage: JournalStorage): string[] =>
  asideIn(storage).filter((name) => !asideBefore.includes(name) && !name.endsWith(temporarySuffix))

function bytesOf(storage: JournalStorage, name: string): number {
  const file = storage.openReadOnly(name)
  try {
    return file.size()
  } finally {
    file.close()
  }
}
