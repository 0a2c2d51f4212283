import type { CommanderError } from '../kernel/errors.ts'

/** Why nothing was heard of somebody: the connection was neither refused nor ended. */
export const noAnswer = (address: string, timeoutMs: number): string =>
  `no answer from ${address} within ${timeoutMs / 1000} s`

/** Why nothing was heard of somebody: how a connection ended, or could not be made. */
export const connectionEnd = (address: string, error: CommanderError | null): string =>
  error === null ? `${address} ended the connection` : error.message
