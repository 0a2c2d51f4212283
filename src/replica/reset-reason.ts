import type { Subscribed } from '../ipc/journal-protocol.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** Why a follower that has applied so much must start again from the store. */
export function resetReason(applied: Lsn, { first, written }: Subscribed): CommanderError {
  // what it applied last is removed, so that nobody can compare it any more
  if (applied < first) {
    const message = `the journal begins with entry ${first}, and this process has applied no more than ${applied}: it was too far behind`
    return new CommanderError('stale_state', message)
  }
  // Written and never flushed, or never committed: what is durable decides, and the store holds nothing else.
  const message = `entry ${applied}, which this process applied, is not in the journal (written: ${written})`
  return new CommanderError('stale_state', message)
}

export function unreadable(applied: Lsn, cause: unknown): CommanderError {
  const message = `the journal cannot be read from entry ${applied + 1}: ${messageOf(cause)}`
  const isRemoved = isCommanderError(cause) && cause.code === 'not_found'
  return new CommanderError(isRemoved ? 'stale_state' : 'journal_corrupt', message, { cause })
}
