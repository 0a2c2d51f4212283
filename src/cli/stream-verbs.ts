import { consistencyFlag } from './consistency.ts'
import type { FlagDefinition, VerbDefinition } from './verb-definition.ts'

export const aggregateArgument = [['<AGGREGATE/ID>', 'for example account/42']] as const

/**
 * What can be done with streams.
 *
 * @param ofDatabase flags that say which database
 * @param ofDirectory the same for what needs its directory
 */
export const streamVerbs = (
  ofDatabase: readonly FlagDefinition[],
  ofDirectory: readonly FlagDefinition[],
): readonly VerbDefinition[] => [
  {
    path: 'stream read',
    help: 'print the events of one aggregate',
    arguments: aggregateArgument,
    flags: [
      { flag: '--from <REVISION>', help: 'first revision; default 1' },
      { flag: '--limit <N>', help: 'at most so many' },
      consistencyFlag,
      ...ofDatabase,
    ],
    load: async () => (await import('./events.ts')).readStream,
  },
  {
    path: 'stream show',
    help: 'whether a stream is open, closed or deleted',
    arguments: aggregateArgument,
    flags: ofDatabase,
    load: async () => (await import('./stream.ts')).show,
  },
  {
    path: 'stream close',
    help: 'let an aggregate take no further command, for good; its events stay',
    arguments: aggregateArgument,
    flags: ofDatabase,
    load: async () => (await import('./stream.ts')).close,
  },
  {
    path: 'stream archive',
    help: 'put events of an aggregate into the archive, from where they are read back',
    arguments: aggregateArgument,
    flags: [{ flag: '--up-to <REVISION>', help: 'last revision to be archived; default: the latest' }, ...ofDatabase],
    load: async () => (await import('./stream.ts')).archive,
  },
  {
    path: 'stream delete',
    help: 'close a stream and remove its events from the store, for good',
    arguments: aggregateArgument,
    flags: ofDatabase,
    load: async () => (await import('./stream.ts')).remove,
  },
  {
    path: 'stream migrate',
    help: 'rewrite all streams of one aggregate to a new version: a plan with counts and samples, then --apply, then --finalise',
    arguments: [['<AGGREGATE>', 'for example account']],
    flags: [
      { flag: '--module <MODULE>', help: 'module whose default export is what defineMigration returns' },
      { flag: '--samples <N>', help: 'show so many of each type of event, before and after; default 3' },
      { flag: '--apply', help: 'rewrite, while commands go on, and switch; goes on where an earlier run ended' },
      { flag: '--finalise', help: 'remove the old events: there is no way back then' },
      { flag: '--abandon', help: 'remove the new events; after the switch the old ones are read again' },
      ...ofDirectory,
    ],
    load: async () => (await import('./migrate.ts')).migrate,
  },
  {
    path: 'stream migrations',
    help: 'migrations that are under way, and how far they are',
    flags: ofDirectory,
    load: async () => (await import('./migrate.ts')).migrations,
  },
]
