import { causeOfLines, causesOf } from '../kernel/error-causes.ts'
import { isCommanderError, messageOf } from '../kernel/errors.ts'
import { isTerminalError, TerminalError } from '../sdk/workflow-errors.ts'

/** An error as the journal keeps it. */
export interface Failure {
  /** Of a `TerminalError`; otherwise the name of the error's class. */
  readonly code: string
  readonly message: string
  readonly details?: unknown
  /** The first places in the user's code, for a person. */
  readonly places?: readonly string[]
  /** What it came of, as its `cause` said, and that one's; for a person. */
  readonly causes?: readonly string[]
  /** What could not be undone when a workflow failed. */
  readonly notCompensated?: readonly string[]
}

const messageLengthMax = 4096
const placesMax = 5

export function failureOf(error: unknown): Failure {
  const message = messageOf(error).slice(0, messageLengthMax)
  const came = causesOf(error)
  const causes = came.length === 0 ? {} : { causes: came }
  if (isTerminalError(error)) {
    const { code, details } = error
    return { code, message, ...(details === undefined ? {} : { details: plain(details) }), ...causes }
  }
  const places = placesOf(error)
  const code = isCommanderError(error) ? error.code : error instanceof Error ? error.name : 'Error'
  return { code, message, ...(places.length === 0 ? {} : { places }), ...causes }
}

export function terminalErrorOf({ code, message, details, causes }: Failure): TerminalError {
  const error = new TerminalError(code, message, details)
  if (causes !== undefined) Object.defineProperty(error, 'cause', { value: causeOfLines(causes) })
  return error
}

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
