import { CommanderError } from '../kernel/errors.ts'

/**
 * Never that no database runs there: the call may have been sent to one that did.
 *
 * @param cause why there is no connection, where there is none
 */
export function lateCommand(timeoutMs: number, cause: CommanderError | null): CommanderError {
  const why = cause === null ? '' : ` (${cause.message})`
  const message = `the command had no answer within ${timeoutMs} ms${why}; its outcome is unknown: ask again with the same idempotency key`
  return new CommanderError('timeout', message, cause === null ? {} : { cause })
}

/** Of a command that was sent before, over a connection that was lost. @param refusal what is said of it now: nothing of what became of it then */
export const unsureCommand = (refusal: CommanderError): CommanderError =>
  new CommanderError(
    'indeterminate',
    `the command was sent before, over a connection that was lost, and is refused now (${refusal.message}): it may or may not have been ` +
      'taken; ask again with the same idempotency key',
    { retryable: true, cause: refusal, details: refusal.details },
  )

export const lateQuery = (timeoutMs: number, cause: CommanderError | null): CommanderError =>
  cause ?? new CommanderError('timeout', `the query had no answer within ${timeoutMs} ms; ask again`)

export const closed = (): CommanderError =>
  new CommanderError('connection_lost', 'this connection was closed; connect again', { retryable: false })
