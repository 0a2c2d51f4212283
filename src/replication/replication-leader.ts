import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** What was appended with one write. */
export interface AppendedBatch {
  readonly firstLsn: Lsn
  readonly entryCount: number
  readonly payload: Buffer
}

/** This node's lead of a stream, as the journal sees it: what it appends is on its way at once, and committed in order. */
export interface ReplicationLeader {
  /** So much is under way that no further batch is taken until some of it is committed. */
  readonly isFull: boolean
  /** Takes the next batch, unless it is full; does not throw. Once the lead is lost it does nothing. */
  append(batch: AppendedBatch): void
  /** Everything up to here is on enough servers: every later leader has it. Only grows. */
  readonly committed: Lsn
  /** Why the lead is over: what is not committed by now may or may not become so. */
  readonly failed: CommanderError | null
  /** `moved` is called after `committed` or `failed` has changed, never from within a call of this interface. One listener. */
  onMoved(moved: () => void): void
}
