import type { Lsn } from '../kernel/identifiers.ts'
import type { CheckpointUnderWay } from './checkpoints.ts'
import type { ExpiredPortion } from './key-deletions.ts'

/** A batch that waits for its flush, or for the store. */
export interface WaitingBatch {
  readonly payload: Buffer
  readonly offset: number
  readonly lastLsn: Lsn
  /** The state's hash is asked for after it. */
  isAttested: boolean
}

/** What a transaction of the store does beside taking in batches. */
export interface Transaction {
  readonly applied: Lsn
  readonly expired: ExpiredPortion
  readonly checkpoint: CheckpointUnderWay | null
}
