import type { ErrorCode } from '../kernel/errors.ts'
import { isCommanderError } from '../kernel/errors.ts'

export const exitCodes = {
  done: 0,
  failed: 1,
  /** Wrong usage or config; a module that does not load. */
  wrongUsage: 2,
  /** The application rejected the command. */
  rejected: 3,
  noDatabase: 4,
} as const

/** The command line itself is wrong: nothing was asked of a database. */
export class UsageError extends Error {}

const wrongInput: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['invalid_config', 'invalid_module'])

/** What the database refuses (an unknown aggregate, a revision mismatch…) has failed; it was asked properly. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.wrongUsage
  if (!isCommanderError(error)) return exitCodes.failed
  if (error.code === 'no_database') return exitCodes.noDatabase
  return wrongInput.has(error.code) ? exitCodes.wrongUsage : exitCodes.failed
}
