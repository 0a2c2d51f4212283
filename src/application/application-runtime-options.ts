import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedStreams } from '../tables/archived-streams.ts'
import type { Isolation } from '../workflows/isolation.ts'
import type { Registrant } from './registration.ts'

/** Drafts are sent at the end of a slice, or as soon as they are so many: the others have work meanwhile. */
export const sendBytes = 1_048_576
export const sendDrafts = 128

export interface ApplicationRuntimeOptions extends Registrant {
  readonly environment: Environment
  readonly store: KeyValueStore
  readonly archived: ArchivedStreams
  /** Memory for aggregates, in bytes of estimated heap. */
  readonly liveBytesMax: number
  /** The largest draft that the journal takes. */
  readonly draftBytesMax: number
  /** Tells which workflow's code is running. Default: nobody is told. */
  readonly isolation?: Isolation
  /** Begins the keys of all effects: says which database they are of. */
  readonly effectKeyPrefix: string
  /** An effect of a workflow failed in every attempt. */
  readonly effectFailed?: () => void
  readonly reset: (reason: CommanderError) => void
}
