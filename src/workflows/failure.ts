import { messageOf } from '../kernel/errors.ts'
import { isTerminalError, TerminalError } from '../sdk/workflow-errors.ts'

/** An error as the journal keeps it. */
export interface Failure {
  /** Of a `TerminalError`; otherwise the name of the error's class. */
  readonly code: string
  readonly message: string
  readonly details?: unknown
  /** The first places in the user's code, for a person. */
  readonly places?: readonly string[]
  /** What could not be undone when a workflow failed. */
  readonly notCompensated?: readonly string[]
}

const messageLengthMax = 4096
const placesMax = 5

export function failureOf(error: unknown): Failure {
  const message = messageOf(error).slice(0, messageLengthMax)
  if (isTerminalError(error)) {
    const { code, details } = error
    return { code, message, ...(details === undefined ? {} : { details: plain(details) }) }
  }
  const places = placesOf(error)
  return { code: error instanceof Error ? error.name : 'Error', message, ...(places.length === 0 ? {} : { places }) }
}

export const terminalErrorOf = ({ code, message, details }: Failure): TerminalError =>
  new TerminalError(code, message, details)

function placesOf(error: unknown): string[] {
  if (!(error instanceof Error) || error.stack === undefined) return []
  const lines = error.stack.split('\n').map((line) => line.trim())
  return lines.filter((line) => line.startsWith('at ')).slice(0, placesMax)
}

/** What survives JSON; whatever does not must not keep an error from being recorded. */
function plain(value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value) ?? 'null')
  } catch {
    return String(value)
  }
}
