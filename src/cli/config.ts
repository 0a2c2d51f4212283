import type { ExplainedValue, Origin } from '../sdk/resolved-config.ts'
import { exitCodes } from './exit-code.ts'
import { type Flags, readSettings } from './settings.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'

/** Prints every value of the config and where it came from. */
export async function config(terminal: Terminal, flags: Flags): Promise<number> {
  const { explained } = await readSettings(flags)
  await terminal.out(flags['json'] === true ? `${JSON.stringify(explained)}\n` : forPeople(explained))
  return exitCodes.done
}

function forPeople(explained: readonly ExplainedValue[]): string {
  const rows = explained.map(({ key, value, unit, origin }) => [
    key,
    value === null ? null : typeof value === 'string' ? value : JSON.stringify(value),
    unit ?? '',
    placeOf(origin),
  ])
  return table(['key', 'value', 'unit', 'from'], rows)
}

const placeOf = (origin: Origin): string => (origin.kind === 'default' ? 'default' : origin.name)
