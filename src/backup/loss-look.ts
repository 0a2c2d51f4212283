import { readCleanStop } from '../journal/clean-stop.ts'
import type { JournalScan } from '../journal/journal-scan.ts'
import { scanJournal } from '../journal/journal-scanner.ts'
import { floorOf } from '../journal/recovery.ts'
import { refusal } from '../journal/recovery-errors.ts'
import { decide, type RecoveryCase } from '../journal/recovery-table.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { type AppliedFrame, contradicts, replayStart } from '../tables/applied-frame.ts'

export interface LookRequest {
  readonly storage: JournalStorage
  /** 16 bytes. */
  readonly journalId: Uint8Array
  /** Of the store; 0 where there is none. */
  readonly root: Lsn
  readonly applied: Lsn
  /** Everything up to here is known to have been flushed, by the archive or by what is remembered of it; 0 where nothing is. */
  readonly archived: Lsn
  /** What the store applied last; null where that is not known. */
  readonly appliedFrame: AppliedFrame | null
}

export interface Look {
  readonly scan: JournalScan
  readonly decision: RecoveryCase
  /** Whether old segments would go first. */
  readonly losesOlder: boolean
  /** The store has applied other entries than those that are left. */
  readonly storeDiffers: boolean
  /** What is left is read from here on. */
  readonly replayFrom: Lsn
}

/** What would have to be given up; nothing is changed. @throws CommanderError as `acceptLoss` */
export function lookForLoss(request: LookRequest): Look {
  const { storage, applied, root, appliedFrame } = request
  const oldestLsn = segmentsOf(storage.list())[0]?.baseLsn
  const look = lookAt(request, replayStart(root, appliedFrame, oldestLsn))
  if (!look.storeDiffers && look.scan.end.nextLsn - 1 >= applied) return look
  if (firstLsnOf(look.scan) > 1) throw storeIsAhead(look, applied)
  return lookAt(request, lsn(1))
}

/** What recovery would see and decide, without the old segments that it would set aside first. */
function lookAt(request: LookRequest, replayFrom: Lsn): Look {
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
    if (decision.action !== 'giveUpOlder') return { scan, decision, losesOlder, storeDiffers, replayFrom }
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
