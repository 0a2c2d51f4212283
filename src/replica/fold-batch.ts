import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { FollowerRole } from './follower-role.ts'
import type { QueuedBatch } from './queued-batch.ts'

/** @returns null, or why the role cannot fold the batch and has to begin anew: the store has gone on without it. */
export function foldBatch(role: FollowerRole, batch: QueuedBatch): CommanderError | null {
  try {
    role.apply(batch.payload, batch.offset, batch.firstLsn, batch.lastLsn)
    return null
  } catch (error) {
    if (isCommanderError(error) && error.code === 'stale_state') return error
    throw error
  }
}
