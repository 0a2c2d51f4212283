import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { archiveNames } from '../archive/archive-target.ts'
import { fetchArchivedSegment, fetchObject } from '../archive/file-archived-segment.ts'
import { goOnFrom, type Restored, type RestoreRequest, restore } from '../backup/restore.ts'
import type { RestoreGoal } from '../backup/restore-goal.ts'
import { encodeClaim, type TimelineClaim } from '../backup/timeline-claim.ts'
import { FileStorage } from '../journal/file-storage.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { StoreReplay } from '../projection-applier/store-replay.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { dataFileOf } from '../store/lmdb-directory.ts'
import { openLmdbStore } from '../store/lmdb-store.ts'
import { allTables } from '../tables/table-names.ts'
import { parseInteger } from './arguments.ts'
import type { RestoreDirectory } from './restore-directory.ts'
import type { Origin } from './restore-origin.ts'
import { differenceOf } from './restored-difference.ts'
import type { Flags } from './settings.ts'
import type { Terminal } from './terminal.ts'

export interface Outcome {
  readonly result: Restored
  readonly claim: TimelineClaim | null
  readonly milliseconds: number
}

/** Brings everything, replays it, and, unless it is a drill, makes a database of it. */
export async function build(
  terminal: Terminal,
  { source, manifest, archive, identity }: Origin,
  goal: RestoreGoal,
  flags: Flags,
  directory: RestoreDirectory,
): Promise<Outcome> {
  const { path } = directory
  const environment = createSystemEnvironment()
  const startMs = environment.clock.monotonicMs()
  let store: KeyValueStore | null = null
  const request: RestoreRequest = {
    source,
    manifest,
    archive,
    journalId: Buffer.from(identity.databaseId.replaceAll('-', ''), 'hex'),
    goal,
    timeline: flags['timeline'] === undefined ? null : parseInteger('--timeline', String(flags['timeline']), 1),
    segments: new FileStorage(join(path, 'segments')),
    fetchSegment: (segment) => fetchArchivedSegment(segment.target, segment, join(path, 'segments', segment.name)),
    openReplay: async () => {
      const storePath = join(path, 'store')
      if (manifest !== null) {
        mkdirSync(storePath, { recursive: true, mode: 0o700 })
        await fetchObject(source, archiveNames.store, dataFileOf(storePath))
      }
      store = openLmdbStore({ path: storePath, tables: allTables, readOnly: false, environment })
      return new StoreReplay(store)
    },
    journal: () => new FileStorage(join(path, 'journal')),
    clock: environment.clock,
    progress: (what) => terminal.isInteractive && terminal.error(`restore: ${what}\n`),
    warn: (what) => terminal.warn(what),
  }
  try {
    const result = await restore(request)
    if (flags['drill'] !== true && flags['acceptDifference'] !== true) assertWhatWas(result)
    const claim = flags['drill'] === true ? null : await goOnFrom(request, result)
    await (store as KeyValueStore | null)?.close()
    if (claim !== null) {
      directory.finish(identity, { name: archiveNames.timeline(claim.timeline), bytes: encodeClaim(claim) })
    }
    return { result, claim, milliseconds: Math.round(environment.clock.monotonicMs() - startMs) }
  } catch (error) {
    await (store as KeyValueStore | null)?.close()
    throw error
  }
}

/** Before anything of it has its name, here or in the archive. @throws CommanderError `archive_corrupt` */
function assertWhatWas(result: Restored): void {
  const [first] = result.hashes.differing
  if (first === undefined) return
  const advice = `; nothing was made: restore to before it (--to-lsn ${first.lsn - 1}) or from another backup, or say --accept-difference to have what the journal says`
  throw differenceOf(result, advice)
}
