import { CommanderError } from '../kernel/errors.ts'
import { describe } from './definition.ts'

/** A row of a CSV file, by the names in its first line. */
export type CsvRow = Readonly<Record<string, string>>

/** One line of `commanderdb import`, as NDJSON or as a map module makes it. */
export interface ImportCommand {
  /** Name of the aggregate. */
  readonly aggregate: string
  readonly id: string
  readonly command: string
  readonly data?: unknown
  /** Makes the import resumable: a command that was sent before is not carried out again. */
  readonly idempotencyKey?: string
  /** In the queue of its command: 0 to 9. */
  readonly priority?: number
  /** Not before so long after it was received, in milliseconds. The import goes on meanwhile. */
  readonly delayMs?: number
}

export interface CsvFormat {
  /** Between the fields. Default `,`. */
  readonly delimiter?: string
}

/** The exports of a map module for `commanderdb import FILE --map MODULE`. */
export interface ImportMap {
  /** The command that the row stands for, or `undefined` to leave the row out. */
  readonly toCommand: (row: CsvRow) => ImportCommand | undefined
  readonly csv?: CsvFormat
}

/**
 * @param subject - names the module in errors
 * @throws CommanderError `invalid_module`
 */
export function checkImportMap(module: Readonly<Record<string, unknown>>, subject: string): ImportMap {
  const { toCommand, csv } = module
  if (typeof toCommand !== 'function') {
    throw new CommanderError('invalid_module', `${subject} does not export a function toCommand(row)`)
  }
  const map = { toCommand: toCommand as ImportMap['toCommand'] }
  if (csv === undefined) return map
  const delimiter = typeof csv === 'object' && csv !== null ? (csv as CsvFormat).delimiter : null
  if (delimiter === undefined) return map
  if (typeof delimiter !== 'string' || delimiter.length !== 1) {
    const found = `csv.delimiter is ${describe(delimiter)}`
    throw new CommanderError('invalid_module', `${subject}: ${found}, but must be one character`)
  }
  return { ...map, csv: { delimiter } }
}
