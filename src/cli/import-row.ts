import { limits } from '../kernel/limits.ts'
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
const numbers = { priority: limits.priorityMax, delayMs: limits.delayMsMax } as const
const known: ReadonlySet<string> = new Set([...texts, 'data', 'idempotencyKey', ...Object.keys(numbers)])

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
  for (const [name, max] of Object.entries(numbers)) {
    const value = row[name]
    const isWhole = Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
    if (value !== undefined && !isWhole)
      throw new LineError(`${name} is ${shown(value)}, but must be a whole number from 0 to ${max}`, { line })
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
