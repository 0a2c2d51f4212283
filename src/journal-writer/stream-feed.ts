import type { Lsn } from '../kernel/identifiers.ts'
import type { CommittedBatches } from './committed-batches.ts'

/** A stream as a node follows it, whoever leads. */
export interface StreamFeed {
  /**
   * The last entry that is known to be committed. Waits until somebody answers.
   *
   * @throws CommanderError when nobody ever will: the stream or the cluster is not ours
   */
  tail(): Promise<Lsn>
  /**
   * Committed batches behind `after`, which ends one.
   *
   * @throws CommanderError `log_trimmed`
   */
  open(after: Lsn): CommittedBatches
}
