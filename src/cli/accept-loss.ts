import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { archiveNames } from '../archive/archive-target.ts'
import { rememberedAsArchived } from '../assembly/flushed-floor.ts'
import { journalOptionsOf } from '../assembly/journal-settings.ts'
import { acceptLoss, type Loss, type LossRequest } from '../backup/accept-loss.ts'
import { encodeClaim, type TimelineClaim } from '../backup/timeline-claim.ts'
import { syncDirectory } from '../journal/file-calls.ts'
import { FileStorage } from '../journal/file-storage.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import { lsn, noLsn } from '../kernel/identifiers.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { lockDatabase } from '../observability/process-lock-adapter.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import { openLmdbStore } from '../store/lmdb-store.ts'
import { readAppliedFrame } from '../tables/applied-frame.ts'
import { readPosition, readRoot } from '../tables/meta.ts'
import { allTables } from '../tables/table-names.ts'
import { archiveOfLoss } from './accept-loss-archive.ts'
import type { Terminal } from './terminal.ts'

/** Before a start: gives up what is damaged, says so, and leaves a record in the data directory. For this one start. */
export async function giveUpDamage(terminal: Terminal, config: ResolvedConfig): Promise<void> {
  const { dataDir } = config
  const identity = readIdentity(dataDir)
  if (identity === undefined)
    throw new CommanderError('no_database', `there is no database in ${dataDir} that anything could be given up of`)
  const locks = [lockDatabase(dataDir, 'database'), lockDatabase(dataDir, 'journal-writer')]
  try {
    const environment = createSystemEnvironment()
    const storage = new FileStorage(join(dataDir, 'journal'))
    const journalId = Buffer.from(identity.databaseId.replaceAll('-', ''), 'hex')
    const archive = await archiveOfLoss(terminal, config, storage, journalId)
    const position = await positionOf(dataDir, storage)
    let kept: Kept = { record: '', store: null }
    const loss = await acceptLoss({
      storage,
      environment,
      journalId,
      options: journalOptionsOf(config),
      ...position,
      archived: lsn(Math.max(position.archived, archive.archived)),
      claim: archive.claim,
      keep: (lost) => {
        kept = keep(dataDir, lost)
      },
    }).finally(() => archive.close())
    if (loss === null) terminal.warn(`nothing of ${dataDir} has to be given up: it starts as it is`)
    else tell(terminal, loss, kept)
  } finally {
    for (const lock of locks) lock.release()
  }
}

type StorePosition = Pick<LossRequest, 'root' | 'applied' | 'archived' | 'appliedFrame'>

async function positionOf(dataDir: string, storage: JournalStorage): Promise<StorePosition> {
  const path = join(dataDir, 'store')
  if (!existsSync(path)) return { root: noLsn, applied: noLsn, archived: noLsn, appliedFrame: null }
  const environment = createSystemEnvironment()
  const store = openLmdbStore({ path, tables: allTables, readOnly: true, environment })
  try {
    const root = readRoot(store, { lookup: () => undefined, keepsPayloads: false }).lsn
    const { applied } = readPosition(store)
    const archived = rememberedAsArchived(store, storage)
    return { root, applied, archived, appliedFrame: readAppliedFrame(store) }
  } finally {
    await store.close()
  }
}

interface Kept {
  readonly record: string
  readonly store: string | null
}

/** The record first: what it says has happened to the journal already. Once more when it was cut short. */
function keep(dataDir: string, loss: Loss): Kept {
  const stamp = loss.at.replace(/[:.]/g, '-')
  const store = loss.storeIsAhead ? `lost-store-${stamp}` : null
  const record = join('losses', `${stamp}.json`)
  put(dataDir, record, { ...loss, store })
  if (loss.lost !== null) {
    const { timeline, parent, lost, at } = loss
    const claim: TimelineClaim = { timeline, parent, fromLsn: lost.fromLsn, reason: 'accept-loss', at }
    put(dataDir, archiveNames.timeline(timeline), claim)
  }
  if (store !== null && !existsSync(join(dataDir, store))) {
    renameSync(join(dataDir, 'store'), join(dataDir, store))
    syncDirectory(dataDir)
  }
  return { record: join(dataDir, record), store }
}

function put(dataDir: string, name: string, value: object): void {
  const directory = join(dataDir, name, '..')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  writeFileSync(join(dataDir, name), encodeClaim(value), { mode: 0o600, flush: true })
  syncDirectory(directory)
  syncDirectory(dataDir)
}

function tell(terminal: Terminal, loss: Loss, { record, store }: Kept): void {
  const { lost, damage, keptAside, endLsn, timeline } = loss
  const bytes = keptAside.reduce((sum, file) => sum + file.bytes, 0)
  const where = damage === null ? '' : ` (${damage.reason}, in segment ${damage.segment} at byte ${damage.offset})`
  const older =
    keptAside.length > 0 ? `old segments were given up${where}` : 'the store had applied entries that the journal lost'
  const what =
    lost === null
      ? older
      : `entries from LSN ${lost.fromLsn} to at least LSN ${lost.toLsnAtLeast} were given up${where}`
  const files = keptAside.map(({ name }) => name).join(', ')
  const aside = keptAside.length === 0 ? '' : `; ${bytes} bytes are kept aside in the journal's directory as ${files}`
  const rebuilt =
    store === null ? '' : `; the store knew of them, is kept as ${store}, and is built again from the journal`
  terminal.warn(
    `${what}${aside}${rebuilt}. The journal goes on behind LSN ${endLsn} on timeline ${timeline}; ${record} says all of this`,
  )
}
