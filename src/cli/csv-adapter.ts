import type { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import type { CsvRow } from '../sdk/import-map.ts'

/** The owner file of csv-parse. */
export interface CsvRecord {
  /** In the file, from 1; where the row ends, if it has line breaks in its fields. */
  readonly line: number
  readonly row: CsvRow
  /** Bytes of the file up to here. */
  readonly bytes: number
}

/** What is wrong with a line of a file that is imported. */
export class LineError extends Error {
  readonly line: number

  constructor(message: string, { line, cause }: { readonly line: number; readonly cause?: unknown }) {
    super(message, { cause })
    this.line = line
  }
}

interface ParsedRecord {
  readonly info: { readonly lines: number; readonly bytes: number }
  readonly record: Readonly<Record<string, string>>
}

const recordBytesMax = 8_388_608

/**
 * The rows of a CSV file by the names in its first line (RFC 4180), one after the other: never the whole file.
 *
 * @throws LineError
 */
export async function* readCsv(source: Readable, delimiter: string): AsyncGenerator<CsvRecord> {
  const parser = parse({
    bom: true,
    columns: (names: string[]) => uniqueNames(names),
    delimiter,
    info: true,
    max_record_size: recordBytesMax,
    skip_empty_lines: true,
  })
  source.on('error', (error) => parser.destroy(error))
  source.pipe(parser)
  try {
    for await (const { info, record } of parser as AsyncIterable<ParsedRecord>) {
      yield { line: info.lines, row: record, bytes: info.bytes }
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    const { lines } = error as unknown as { readonly lines?: number }
    throw new LineError(error.message, { line: lines ?? 1, cause: error })
  } finally {
    source.destroy()
  }
}

function uniqueNames(names: string[]): string[] {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new LineError(`the column "${twice}" is named twice in the first line`, { line: 1 })
  return names
}
