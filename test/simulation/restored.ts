import { MemoryTarget } from '../../src/archive/memory-target.ts'
import { restore } from '../../src/backup/restore.ts'
import { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { JournalReader } from '../../src/journal/reader.ts'
import type { Environment } from '../../src/kernel/environment.ts'
import { silentLog } from '../../src/kernel/environment.ts'
import type { Lsn } from '../../src/kernel/identifiers.ts'
import { StoreReplay } from '../../src/projection-applier/store-replay.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import { allTables } from '../../src/tables/table-names.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { simulatedJournalId } from '../../src/testing/simulated-host.ts'

export interface RestoreCheck {
  readonly objects: Map<string, Buffer>
  /** Of the database: what is in the archive may be missing. */
  readonly disk: MemoryStorage
  readonly upTo: Lsn
  /** Of the database's state there. */
  readonly stateHash: string
  readonly events: number
  readonly random: SeededRandom
  readonly violate: (what: string) => void
}

/** Nothing else goes on any more: what is asked for is done at once. */
const atOnce = (random: SeededRandom): Environment => ({
  clock: { wallMs: () => 0, monotonicMs: () => 0 },
  scheduler: {
    after: (_delayMs, run) => {
      queueMicrotask(run)
      return { cancel: () => {} }
    },
    soon: (run) => queueMicrotask(run),
  },
  random,
  log: silentLog,
})

/**
 * Restores the archive, as `restore` does, and goes on from there with what the journal has: together they hold every
 * entry, and come to the same state. @returns how many segments the archive gave
 */
export async function checkRestored(check: RestoreCheck): Promise<number> {
  const environment = atOnce(check.random)
  const store = openMemoryStore({ tables: allTables, environment })
  const replay = new StoreReplay(store)
  const segments = await fromArchive(check, replay, environment).catch((error: unknown) => {
    check.violate(`archive: it cannot be restored: ${String(error)}`)
    return 0
  })
  await fromJournal(check, replay)
  const stateHash = await replay.finish()
  if (replay.state.lsn !== check.upTo)
    check.violate(`archive: with the journal it ends at entry ${replay.state.lsn}, the database at ${check.upTo}`)
  else if (stateHash !== check.stateHash)
    check.violate(`archive: restored the state is ${stateHash}, in the database ${check.stateHash}`)
  if (replay.globalPosition !== check.events)
    check.violate(`archive: restored there are ${replay.globalPosition} events, in the database ${check.events}`)
  return segments
}

async function fromArchive(check: RestoreCheck, replay: StoreReplay, environment: Environment): Promise<number> {
  const { objects, violate } = check
  if (![...objects.keys()].some((name) => name.startsWith('segments/'))) return 0
  const segments = new MemoryStorage(environment)
  let brought = 0
  const restored = await restore({
    source: new MemoryTarget({ objects }),
    manifest: null,
    archive: null,
    journalId: simulatedJournalId,
    goal: { to: 'end' },
    timeline: null,
    segments,
    fetchSegment: async ({ name, object }) => {
      const bytes = objects.get(object) as Buffer
      segments.replace(name, bytes)
      brought++
      return { bytes: bytes.length }
    },
    openReplay: async () => replay,
    journal: () => segments,
    clock: environment.clock,
    progress: () => {},
    warn: violate,
  })
  for (const { lsn: at, expected, found } of restored.hashes.differing)
    violate(`archive: the checkpoint at ${at} has state ${expected}, the restored one ${found}`)
  return brought
}

async function fromJournal({ disk, upTo, violate }: RestoreCheck, replay: StoreReplay): Promise<void> {
  const { next } = replay
  if (next > upTo) return
  const reader = new JournalReader(disk, next)
  try {
    for (const { payload, firstLsn, entryCount } of reader.read(Number.POSITIVE_INFINITY, upTo)) {
      if (firstLsn !== replay.next) return violate(`archive: entry ${firstLsn} follows ${replay.next - 1}`)
      await replay.apply({ payload, end: payload.length, entries: entryCount })
    }
  } catch (error) {
    violate(`archive: entries from ${next} on are neither in it nor in the journal: ${String(error)}`)
  } finally {
    reader.close()
  }
}

/** Whether the archive holds this segment of the disk, under whatever timeline. */
export const isArchived = (objects: ReadonlyMap<string, Buffer>, name: string): boolean =>
  [...objects.keys()].some((object) => object.startsWith('segments/') && object.endsWith(`/${name}.zst`))
