import { parseInteger } from './arguments.ts'
import { freshnessOf } from './consistency.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { table } from './table.ts'
import { withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Prints one row of a projection. */
export async function getRow(terminal: Terminal, name: string, key: string, flags: Flags): Promise<number> {
  const { minLsn } = flags as { readonly minLsn?: string }
  const wanted = minLsn === undefined ? {} : { minLsn: parseInteger('--min-lsn', minLsn) }
  const options = { ...freshnessOf(flags), ...wanted }
  const row = await withDatabase(flags, (db) => db.projection(name, key, options))
  await terminal.out(`${flags['json'] === true ? JSON.stringify(row) : JSON.stringify(row.value, undefined, 2)}\n`)
  return exitCodes.done
}

export async function listProjections(terminal: Terminal, flags: Flags): Promise<number> {
  const found = await withDatabase(flags, (db) => db.projections())
  const rows = found.map(({ name, version, status, position, message }) => [name, version, status, position, message])
  const forPeople = (): string => table(['projection', 'version', 'status', 'position', 'message'], rows)
  await terminal.out(flags['json'] === true ? `${JSON.stringify(found)}\n` : forPeople())
  return exitCodes.done
}

/** Builds a projection anew; its present rows are read until the new ones are complete. */
export async function rebuild(terminal: Terminal, name: string, flags: Flags): Promise<number> {
  await withDatabase(flags, (db) => db.rebuildProjection(name))
  const line = `${name} is being rebuilt; commanderdb projection list shows how far it is`
  await terminal.out(`${flags['json'] === true ? JSON.stringify({ name, rebuilding: true }) : line}\n`)
  return exitCodes.done
}
