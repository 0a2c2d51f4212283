import { replicatedWanted, waitModes } from '../ipc/client-protocol.ts'
import { notLeader } from '../ipc/leadership.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
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

/**
 * @param asked a wait mode, perhaps with `replicatedWanted`
 * @param refusal why that cannot be promised; null: it can
 * @throws CommanderError that refusal; `invalid_input` for what is no wait mode
 */
export function waitModeOf(asked: number, refusal: CommanderError | null): number {
  if (asked <= waitModes.ended) return asked
  const wait = asked & ~replicatedWanted
  if (wait <= waitModes.ended) {
    if (refusal !== null) throw refusal
    return wait
  }
  const known = Object.entries(waitModes).map(([name, code]) => `${code} (${name})`)
  throw new CommanderError('invalid_input', `a call can wait for ${known.join(', ')}, and not for ${wait}`)
}

export const keyConflict = (key: string, first: Lsn): CommanderError =>
  new CommanderError(
    'idempotency_conflict',
    `the idempotency key "${key}" was used by command ${first} with other data; use a new key for a new command`,
    { details: { command: String(first) } },
  )

/** Of the durability `replicated`, until a journal writer says otherwise. */
export const keptAlone = (): CommanderError =>
  new CommanderError(
    'policy_unsatisfiable',
    'nothing can be promised to be replicated: one node keeps this journal alone, or has not said yet that it does not; ' +
      'ask for flushed, or run the database with --journal replicated',
    { retryable: false },
  )

/** Of a deletion. */
export const tookNoEffect = (): CommanderError =>
  new CommanderError(
    'stream_busy',
    'a command from before the stream was closed is pending; try again when it has ended',
  )
