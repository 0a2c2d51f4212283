import type { ImportCommand } from '../sdk/import-map.ts'
import { LineError } from './csv-adapter.ts'

/** A command of a file, with its place in it. */
export interface ImportRow {
  readonly line: number
  /** Null: the map module leaves this row out. */
  readonly command: ImportCommand | null
  /** Bytes of the file up to and with this row. */
  readonly bytes: number
}

const texts = ['aggregate', 'id', 'command'] as const
const known: ReadonlySet<string> = new Set([...texts, 'data', 'idempotencyKey'])

/** @throws LineError naming what is missing or wrong */
export function checkCommand(value: unknown, line: number): ImportCommand {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new LineError(
      `it is ${shown(value)}, but must be an object { aggregate, id, command, data, idempotencyKey }`,
      { line },
    )
  }
  const row = value as Readonly<Record<string, unknown>>
  for (const name of texts) {
    if (typeof row[name] !== 'string' || row[name] === '') {
      throw new LineError(`${name} is ${shown(row[name])}, but must be a text that is not empty`, { line })
    }
  }
  const { idempotencyKey } = row
  if (idempotencyKey !== undefined && (typeof idempotencyKey !== 'string' || idempotencyKey === '')) {
    throw new LineError(`idempotencyKey is ${shown(idempotencyKey)}, but must be a text that is not empty`, { line })
  }
  const unknown = Object.keys(row).find((name) => !known.has(name))
  if (unknown !== undefined)
    throw new LineError(`the key "${unknown}" is not known; there are ${[...known].join(', ')}`, { line })
  return row as unknown as ImportCommand
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
