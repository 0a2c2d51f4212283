import { JournalReader } from '../journal/reader.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { Follower, type FollowerRole } from '../replica/follower.ts'
import type { Surroundings } from './surroundings.ts'

export interface FollowerSettings {
  readonly name: string
  readonly origin: number
  readonly ordered?: boolean
  readonly followsFlush?: boolean
  readonly after: Lsn
}

/** A follower of this database's journal, with its segments to catch up from. */
export function followerOf(surroundings: Surroundings, role: FollowerRole, settings: FollowerSettings): Follower {
  const { environment, transport, addresses, openStorage } = surroundings
  return new Follower({
    environment,
    transport,
    address: addresses.journal,
    name: settings.name,
    origin: settings.origin,
    ordered: settings.ordered ?? false,
    followsFlush: settings.followsFlush ?? false,
    segments: (from) => new JournalReader(openStorage(), from),
    role,
    after: settings.after,
  })
}

/** Drafts of this process incarnation are told from all others by it; never 0. */
export const newOrigin = (surroundings: Surroundings): number => surroundings.environment.random.uint32() || 1
