import type { Database, StreamView } from '../client/options.ts'
import { parseAggregate } from './arguments.ts'
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

const forPeople = ({ aggregate, status, revision, closedLsn, deletedLsn }: StreamView): string =>
  list([
    ['stream', `${aggregate.type}/${aggregate.id}`],
    ['status', status],
    ['revision', revision],
    ['closed at', closedLsn],
    ['deleted at', deletedLsn],
  ])
