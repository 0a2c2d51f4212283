import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Application } from '../sdk/application.ts'
import type { RootState } from '../state/root.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedStreams } from '../tables/archived-streams.ts'
import type { AdmissionLimits } from './admission.ts'

export interface GatewayOptions {
  readonly environment: Environment
  readonly applications: readonly Application[]
  readonly origin: number
  /** As of the store's root; keeps no payloads. */
  readonly state: RootState
  readonly store: KeyValueStore
  readonly archived: ArchivedStreams
  readonly limits?: Partial<AdmissionLimits>
  readonly reset: (reason: CommanderError) => void
}

/** Drafts are sent at the end of the turn, or as soon as they are so many: the others have work meanwhile. */
export const sendBytes = 1_048_576
export const sendDrafts = 128
