import { readCleanStop } from '../journal/clean-stop.ts'
import { openJournal } from '../journal/journal.ts'
import type { JournalScan } from '../journal/journal-scan.ts'
import { scanJournal } from '../journal/journal-scanner.ts'
import type { JournalOptions } from '../journal/options.ts'
import { floorOf, newestOf, type RecoveryReport } from '../journal/recovery.ts'
import { refusal } from '../journal/recovery-errors.ts'
import { decide, type RecoveryCase } from '../journal/recovery-table.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { type AppliedFrame, contradicts, replayStart } from '../tables/applied-frame.ts'
import type { TimelineClaim } from './timeline-claim.ts'

export interface LossRequest {
  readonly storage: JournalStorage
  readonly environment: Environment
  /** 16 bytes. */
  readonly journalId: Uint8Array
  readonly options: JournalOptions
  /** Of the store; 0 where there is none. */
  readonly root: Lsn
  readonly applied: Lsn
  /** Everything up to here is known to have been flushed, by the archive or by what is remembered of it; 0 where nothing is. */
  readonly archived: Lsn
  /** Takes a number for the timeline that begins, before it is used: the one wanted, or a higher one that is free. */
  readonly claim: (wanted: TimelineClaim) => Promise<TimelineClaim>
  /** What it applied last; null where that is not known. */
  readonly appliedFrame: AppliedFrame | null
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

interface Look {
  readonly scan: JournalScan
  readonly decision: RecoveryCase
  /** Whether old segments would go first. */
  readonly losesOlder: boolean
  /** The store has applied other entries than those that are left. */
  readonly storeDiffers: boolean
}

/**
 * Gives up what is damaged or missing in a stopped database's journal, keeps it aside, and starts a new timeline. Decides
 * everything before it changes anything. `null`: there is nothing to give up.
 *
 * @throws CommanderError `journal_corrupt` where what would be left cannot be gone on from; `foreign_database`,
 * `unsupported_version`, `journal_failed`
 */
export async function acceptLoss(request: LossRequest): Promise<Loss | null> {
  const { storage, applied, environment } = request
  const oldestLsn = segmentsOf(storage.list())[0]?.baseLsn
  let replayFrom = replayStart(request.root, request.appliedFrame, oldestLsn)
  let look = lookAt(request, replayFrom)
  if (look.storeDiffers || look.scan.end.nextLsn - 1 < applied) {
    if (firstLsnOf(look.scan) > 1) throw storeIsAhead(look, applied)
    replayFrom = lsn(1)
    look = lookAt(request, replayFrom)
  }
  const { action } = look.decision
  if (action !== 'giveUp' && !look.losesOlder) return look.storeDiffers ? ofStore(request, look) : null
  const at = new Date(environment.clock.wallMs()).toISOString()
  const { bad, floorLsn, end, segments } = look.scan
  const parent = end.segment?.header?.timeline ?? 1
  const wanted = { timeline: newestOf(segments) + 1, parent, fromLsn: end.nextLsn, reason: 'accept-loss', at } as const
  const claim = action === 'giveUp' ? await request.claim(wanted) : null
  const report = await carryOut(request, replayFrom, claim?.timeline ?? 0)
  const endLsn = report.recoveredLsn
  return {
    timeline: report.timeline,
    parent: claim === null ? report.timeline : parent,
    endLsn,
    lost: action === 'giveUp' ? { fromLsn: endLsn + 1, toLsnAtLeast: Math.max(endLsn + 1, floorLsn, applied) } : null,
    damage: bad,
    keptAside: report.keptAside.map((name) => ({ name, bytes: bytesOf(storage, name) })),
    storeIsAhead: applied > endLsn || look.storeDiffers,
    at,
  }
}

/** The journal is sound, and the store is of entries that it lost in silence. */
function ofStore({ environment }: LossRequest, { scan }: Look): Loss {
  const timeline = newestOf(scan.segments)
  const at = new Date(environment.clock.wallMs()).toISOString()
  const nothing = { lost: null, damage: null, keptAside: [] }
  return { timeline, parent: timeline, endLsn: scan.end.nextLsn - 1, ...nothing, storeIsAhead: true, at }
}

/** What recovery would see and decide, without the old segments that it would set aside first. */
function lookAt(request: LossRequest, replayFrom: Lsn): Look {
  const { storage, journalId, applied, archived, appliedFrame } = request
  const identity = { journalId, serverId: journalId }
  const marked = readCleanStop(storage)
  const isOwn = marked !== null && Buffer.from(marked.journalId).equals(journalId)
  const floorLsn = lsn(Math.max(applied, archived, isOwn ? marked.lastLsn : 0))
  const hidden = new Set<string>()
  for (let losesOlder = false; ; losesOlder = true) {
    const seen = without(storage, hidden)
    const scanning = scanJournal({ storage: seen, identity, replayFrom, floorLsn, check: 'digest' })
    let storeDiffers = false
    let step = scanning.next()
    for (; step.done !== true; step = scanning.next()) {
      const { payload, header } = step.value.frame
      const { firstLsn, entryCount } = header
      const isOther =
        entryCount > 0 && contradicts(appliedFrame, { firstLsn, lastLsn: firstLsn + entryCount - 1, entries: payload })
      storeDiffers ||= isOther
    }
    const scan = step.value
    const decision = decide({ ...scan, floor: floorOf(scan), acceptLoss: true })
    const error = refusal(decision, scan)
    if (error !== null) throw error
    if (decision.action !== 'giveUpOlder') return { scan, decision, losesOlder, storeDiffers }
    for (const { segment } of scan.leftovers) hidden.add(segment)
  }
}

const without = (storage: JournalStorage, hidden: ReadonlySet<string>): JournalStorage => ({
  list: () => storage.list().filter((name) => !hidden.has(name)),
  open: (name) => storage.open(name),
  openReadOnly: (name) => storage.openReadOnly(name),
  create: (...args) => storage.create(...args),
  createNow: (name, bytes) => storage.createNow(name, bytes),
  rename: (from, to) => storage.rename(from, to),
  remove: (name) => storage.remove(name),
  flushNames: () => storage.flushNames(),
  writeWhole: (name, bytes) => storage.writeWhole(name, bytes),
  readWhole: (name) => storage.readWhole(name),
})

const firstLsnOf = ({ segments, end }: JournalScan): Lsn => segments[0]?.baseLsn ?? end.nextLsn

async function carryOut(request: LossRequest, replayFrom: Lsn, newTimeline: number): Promise<RecoveryReport> {
  const { storage, environment, journalId, options, applied, archived } = request
  const floorLsn = lsn(Math.max(applied, archived))
  const opening = { storage, environment, journalId, serverId: journalId, options, floorLsn, replayFrom }
  const { journal, report } = await openJournal({ ...opening, acceptLoss: true, newTimeline })
  await new Promise<void>((resolve, reject) => {
    journal.close((error) => (error === null ? resolve() : reject(error)))
  })
  return report
}

function bytesOf(storage: JournalStorage, name: string): number {
  const file = storage.openReadOnly(name)
  try {
    return file.size()
  } finally {
    file.close()
  }
}

function storeIsAhead({ scan, storeDiffers }: Look, applied: Lsn): CommanderError {
  const end = scan.end.nextLsn - 1
  const why = storeDiffers
    ? `the store, which holds everything up to LSN ${applied}, was filled with other entries than the journal has`
    : `the journal would end at LSN ${end}, but the store holds everything up to LSN ${applied}`
  return new CommanderError(
    'journal_corrupt',
    `${why}, and cannot be built again: the journal begins at LSN ${firstLsnOf(scan)}. ` +
      `Restore a backup or the archive with --to-lsn ${end}; nothing was changed`,
    { details: { endLsn: end, applied, firstLsn: firstLsnOf(scan), storeDiffers } },
  )
}
