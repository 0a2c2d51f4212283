import type { Leadership } from '../ipc/leadership.ts'
import type { Journal } from '../journal/journal.ts'
import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { TokenGuard } from '../state/token-guard.ts'
import type { Referee } from './attestation.ts'
import type { CommittedBatches } from './committed-batches.ts'
import type { FlushOptions } from './options.ts'
import type { ReadBatch } from './own-history.ts'
import type { ReadPoint } from './read-point.ts'
import type { RetentionSettings } from './retention.ts'

/** Of a node of a replicated journal. */
export interface StandbySettings {
  readonly batches: CommittedBatches
  readonly leadership: Leadership
  /** Asks the node that leads, which may be this one. */
  readonly readPoint: ReadPoint
  /** Why it cannot be promised now that what is flushed is replicated; null: it can. */
  readonly replicationRefusal: () => CommanderError | null
}

export interface JournalWriterOptions {
  readonly environment: Environment
  readonly journal: Journal
  readonly guard: TokenGuard
  readonly flush: FlushOptions
  /** Drafts gathered into one frame of the journal at most; every single draft must be smaller. */
  readonly batchBytesMax: number
  readonly readBatch: ReadBatch
  readonly retention: RetentionSettings
  /** Another node leads, and this one appends what that has committed, until `lead`. Default: this node keeps its journal alone. */
  readonly standby?: StandbySettings
  /** What the store had applied, and its checkpoint, when the writer started. */
  readonly applied: Lsn
  readonly checkpoint: Lsn
  /** The journal can no longer be written or flushed: the process must end and recover from the medium. */
  readonly failed: (error: CommanderError) => void
  /** Shortest time between two comparisons of the processes' states; 0: never. Default 10,000. */
  readonly attestIntervalMs?: number
  /** Folds entries again where the processes do not agree. Default: nobody. */
  readonly referee?: Referee
}
