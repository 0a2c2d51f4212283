import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Application } from '../sdk/application.ts'
import type { RootState } from '../state/root.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import type { ArchivedStreams } from '../tables/archived-streams.ts'
import type { WriterKeyLookup } from '../tables/idempotency-keys.ts'
import type { ArchiveOfApplier } from './archive-by-hand.ts'
import type { ParkingWatch } from './parking-watch.ts'

export interface ProjectionApplierOptions {
  readonly environment: Environment
  readonly store: KeyValueStore
  readonly applications: readonly Application[]
  readonly archived?: ArchivedStreams
  readonly origin: number
  /** As of the store's root; keeps payloads. May be older than the tables: it is brought up to them from the journal. */
  readonly state: RootState
  /** The look-up that the state was made with. */
  readonly keys: WriterKeyLookup
  /**
   * Longest pause between the starts of two transactions. Under load they are this far apart, so that a busy aggregate
   * is written once in each; when little is to be done they follow sooner. A quarter of it on a node that follows. Default 100.
   */
  readonly commitIntervalMs?: number
  /** Time between two checkpoints. Default 300,000. */
  readonly checkpointTimeoutMs?: number
  /** Default: none. */
  readonly archive?: ArchiveOfApplier
  /** Told of what is parked. */
  readonly parkings?: ParkingWatch
  readonly reset: (reason: CommanderError) => void
  readonly failed: (error: CommanderError) => void
}
