import { parseAggregate, parseInteger } from './arguments.ts'
import { freshnessOf } from './consistency.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Prints the state of one aggregate. */
export async function state(terminal: Terminal, aggregate: string, flags: Flags): Promise<number> {
  const { type, id } = parseAggregate(aggregate)
  const { at, minLsn } = flags as { readonly at?: string; readonly minLsn?: string }
  const options = {
    ...(at === undefined ? {} : { atLsn: parseInteger('--at', at) }),
    ...freshnessOf(flags),
    ...(minLsn === undefined ? {} : { minLsn: parseInteger('--min-lsn', minLsn) }),
  }
  const found = await withDatabase(flags, (db) => db.read(type, id, options))
  if (flags['json'] === true) await terminal.out(`${JSON.stringify(found)}\n`)
  else await terminal.out(`${aggregate} at revision ${found.revision}\n${JSON.stringify(found.state, undefined, 2)}\n`)
  return exitCodes.done
}
