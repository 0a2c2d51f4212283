import type { Lsn } from '../kernel/identifiers.ts'
import { RecentBatches } from '../kernel/recent-batches.ts'

export interface WrittenBatch {
  readonly firstLsn: Lsn
  readonly lastLsn: Lsn
  readonly payload: Buffer
}

/** Kept so that a follower that comes from the segments finds the live stream without a gap. */
export class Bridge extends RecentBatches<WrittenBatch> {}
