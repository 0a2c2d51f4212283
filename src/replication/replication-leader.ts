import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** What was appended with one write. */
export interface AppendedBatch {
  readonly firstLsn: Lsn
  readonly entryCount: number
  readonly payload: Buffer
}

/** This node's lead of a stream, as the journal sees it: what it appends is committed in order. */
export interface ReplicationLeader {
  /** Takes the next batch; does not throw. Once the lead is lost it does nothing. */
  append(batch: AppendedBatch): void
  /** Somebody waits for what was appended by now: it is on its way at once. Without a call it is within about 50 ms. */
  flush(): void
  /** Another batch may be appended: not too many are under way. `moved` tells when there is room again. */
  readonly hasRoom: boolean
  /** Everything up to here is on enough servers: every later leader has it. Only grows. */
  readonly committed: Lsn
  /** Why the lead is over: what is not committed by now may or may not become so. */
  readonly failed: CommanderError | null
  /** `moved` is called after `committed` or `failed` has changed, never from within a call of this interface. One listener. */
  onMoved(moved: () => void): void
}
