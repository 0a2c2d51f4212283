import { messageOf, toWireError, type WireError } from '../kernel/errors.ts'
import { UsageError } from './exit-code.ts'

/** One line, whatever the text: an error takes exactly one. */
export const oneLine = (text: string): string => text.trim().replace(/\s*[\r\n]+\s*/g, ' ')

/** The line on standard error that says why a verb failed. For programs it has the fields of the error. */
export function failureText(error: unknown, isJson: boolean): string {
  return isJson ? `${JSON.stringify({ error: fieldsOf(error) })}\n` : `commanderdb: ${oneLine(messageOf(error))}\n`
}

/** The line on standard error for what is no failure. */
export function warningText(message: string, isJson: boolean): string {
  return isJson ? `${JSON.stringify({ warning: { message } })}\n` : `commanderdb: ${oneLine(message)}\n`
}

/** A wrong command line has the code of any other wrong input. What has no code at all is ours. */
function fieldsOf(error: unknown): WireError {
  if (error instanceof UsageError) return { code: 'invalid_input', message: messageOf(error), retryable: false }
  return toWireError(error)
}
