import { CommanderError } from '../kernel/errors.ts'

export const notTaken = (): CommanderError =>
  new CommanderError('overloaded', 'the journal writer does not take more at the moment; try again later', {
    details: { retryAfterMs: 200 },
  })

export const notReady = (): CommanderError =>
  new CommanderError('not_ready', 'the database is starting, stopping or recovering; try again in a moment', {
    details: { retryAfterMs: 500 },
  })

/** Of a deletion. */
export const tookNoEffect = (): CommanderError =>
  new CommanderError(
    'stream_busy',
    'a command from before the stream was closed is pending; try again when it has ended',
  )
