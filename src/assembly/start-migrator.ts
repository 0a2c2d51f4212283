import type { JournalOptions } from '../journal/options.ts'
import { CommanderError } from '../kernel/errors.ts'
import { Follow } from '../migrator/follow.ts'
import { Migrator } from '../migrator/migrator.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface MigratorSettings {
  /** Says how large a draft may be. Default: `defaultJournalOptions`. */
  readonly journal?: JournalOptions | undefined
}

export interface RunningMigrator extends RunningRole {
  readonly migrator: Migrator
  readonly follow: Follow
}

/** Follows the database as one more child, for as long as a migration takes. */
export function startMigrator(surroundings: Surroundings, settings: MigratorSettings = {}): RunningMigrator {
  const { environment, openStore } = surroundings
  const store = openStore('read')
  const state = readRoot(store, { lookup: keyLookup(store), keepsPayloads: true })
  const origin = newOrigin(surroundings)
  const follow = new Follow({ environment, store, state, origin })
  const migrator = new Migrator({ environment, follow, store, draftBytesMax: draftBytesMax(settings.journal) })
  const name = `migrator-${origin}`
  follow.start(followerOf(surroundings, follow, { name, origin, followsFlush: true, after: state.lsn }))
  const stop = async (): Promise<void> => {
    follow.fail(new CommanderError('connection_lost', 'the migrator was stopped'))
    follow.stop()
    await store.close()
  }
  return { migrator, follow, stop }
}
