import type { Subscribed } from '../ipc/journal-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'

/** Why a follower that has applied so much must start again from the store. */
export function resetReason(applied: Lsn, { first, written }: Subscribed): CommanderError {
  // what it applied last is removed, so that nobody can compare it any more
  if (applied < first) {
    const message = `the journal begins with entry ${first}, and this process has applied no more than ${applied}: it was too far behind`
    return new CommanderError('stale_state', message)
  }
  const message = `entry ${applied}, which this process applied, is not in the journal (written: ${written})`
  return new CommanderError('journal_corrupt', message)
}
