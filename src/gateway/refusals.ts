import { notLeader } from '../ipc/leadership.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Follower } from '../replica/follower.ts'

export const notTaken = (): CommanderError =>
  new CommanderError('overloaded', 'the journal writer does not take more at the moment; try again later', {
    details: { retryAfterMs: 200 },
  })

export const notReady = (): CommanderError =>
  new CommanderError('not_ready', 'the database is starting, stopping or recovering; try again in a moment', {
    details: { retryAfterMs: 500 },
  })

/** Why no command is taken now; null while they are. */
export function refusalOf(follower: Follower | null, isStopping: boolean): CommanderError | null {
  if (follower === null || isStopping) return notReady()
  if (follower.isConnected) return null
  const { isStandingBy, leadership } = follower.standing
  return isStandingBy ? notLeader(leadership) : notReady()
}

/** Of a deletion. */
export const tookNoEffect = (): CommanderError =>
  new CommanderError(
    'stream_busy',
    'a command from before the stream was closed is pending; try again when it has ended',
  )
