import { defaultJournalOptions, type JournalOptions, segmentHeaderBytes } from '../journal/options.ts'
import { decodeSegmentHeader } from '../journal/segment-header.ts'
import { segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { CommanderError } from '../kernel/errors.ts'
import { Follow } from '../migrator/follow.ts'
import { Migrator } from '../migrator/migrator.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface RunningMigrator extends RunningRole {
  readonly migrator: Migrator
  readonly follow: Follow
}

/** Follows the database as one more child, for as long as a migration takes. */
export function startMigrator(surroundings: Surroundings): RunningMigrator {
  const { environment, openStore, openStorage } = surroundings
  const store = openStore('read')
  const state = readRoot(store, { lookup: keyLookup(store), keepsPayloads: true })
  const origin = newOrigin(surroundings)
  const follow = new Follow({ environment, store, state, origin })
  const migrator = new Migrator({ environment, follow, store, draftBytesMax: draftBytesMax(journalOf(openStorage())) })
  const name = `migrator-${origin}`
  follow.start(followerOf(surroundings, follow, { name, origin, followsFlush: true, after: state.lsn }))
  const stop = async (): Promise<void> => {
    follow.fail(new CommanderError('connection_lost', 'the migrator was stopped'))
    follow.stop()
    await store.close()
  }
  return { migrator, follow, stop }
}

/** How the journal lies on disk says its newest segment: the config is with whoever runs the database. */
function journalOf(storage: JournalStorage): JournalOptions {
  const name = segmentsOf(storage.list()).at(-1)?.name
  if (name === undefined) return defaultJournalOptions
  const file = storage.openReadOnly(name)
  try {
    const bytes = Buffer.alloc(segmentHeaderBytes)
    file.read(bytes, 0)
    const header = decodeSegmentHeader(bytes)
    if (header === null) return defaultJournalOptions
    return { ...defaultJournalOptions, segmentBytes: header.segmentBytes, blockBytes: header.blockBytes }
  } finally {
    file.close()
  }
}
