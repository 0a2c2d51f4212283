import type { Database, StreamView } from '../client/options.ts'
import { parseAggregate, parseInteger } from './arguments.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { list } from './table.ts'
import { withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Prints what has become of a stream. */
export const show = (terminal: Terminal, aggregate: string, flags: Flags): Promise<number> =>
  print(terminal, aggregate, flags, (db, type, id) => db.streamLife(type, id))

/** Lets an aggregate take no further command. */
export const close = (terminal: Terminal, aggregate: string, flags: Flags): Promise<number> =>
  print(terminal, aggregate, flags, (db, type, id) => db.closeStream(type, id))

/** Puts events of a stream into the archive. */
export function archive(terminal: Terminal, aggregate: string, flags: Flags): Promise<number> {
  const { upTo } = flags as { readonly upTo?: string }
  const options = upTo === undefined ? {} : { upTo: parseInteger('--up-to', upTo, 1) }
  return print(terminal, aggregate, flags, (db, type, id) => db.archiveStream(type, id, options))
}

/** Closes a stream and removes its events. */
export const remove = (terminal: Terminal, aggregate: string, flags: Flags): Promise<number> =>
  print(terminal, aggregate, flags, (db, type, id) => db.deleteStream(type, id))

async function print(
  terminal: Terminal,
  aggregate: string,
  flags: Flags,
  ask: (db: Database, type: string, id: string) => Promise<StreamView>,
): Promise<number> {
  const { type, id } = parseAggregate(aggregate)
  const view = await withDatabase(flags, (db) => ask(db, type, id))
  await terminal.out(flags['json'] === true ? `${JSON.stringify(view)}\n` : forPeople(view))
  return exitCodes.done
}

const lsnText = (lsn: number | null): string | null => (lsn === null ? null : `LSN ${lsn}`)

const forPeople = ({ aggregate, status, revision, archivedUpTo, closedLsn, deletedLsn }: StreamView): string =>
  list([
    ['stream', `${aggregate.type}/${aggregate.id}`],
    ['status', status],
    ['revision', revision],
    ['archived to', archivedUpTo === 0 ? null : archivedUpTo],
    ['closed at', lsnText(closedLsn)],
    ['deleted at', lsnText(deletedLsn)],
  ])
