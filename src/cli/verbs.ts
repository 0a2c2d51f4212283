import { configKeys } from '../sdk/config-schema.ts'
import { clusterVerbs } from './cluster-verbs.ts'
import { consistencyFlag } from './consistency.ts'
import { queueingFlags } from './queueing.ts'
import { aggregateArgument, streamVerbs } from './stream-verbs.ts'
import type { FlagDefinition, VerbDefinition } from './verb-definition.ts'
import { workflowVerbs } from './workflow-verbs.ts'

export type { FlagDefinition, Verb, VerbDefinition } from './verb-definition.ts'

/** What stands above the verbs of two words. */
export const groups: Readonly<Record<string, string>> = {
  stream: 'events of one aggregate, and their end; migrations of all of one type',
  projection: 'read models',
  command: 'single commands',
  workflow: 'durable functions',
  journal: 'the journal of a database, or an archive of segments',
  cluster: 'the nodes and journal servers that keep a replicated journal',
}

const json: FlagDefinition = { flag: '--json', help: 'for programs' }
const config: FlagDefinition = {
  flag: '--config <FILE>',
  help: 'config file; default: commanderdb.config.ts of the working directory',
}
const limit: FlagDefinition = { flag: '--limit <N>', help: 'at most so many' }
const minLsn: FlagDefinition = { flag: '--min-lsn <LSN>', help: 'wait until readers see this entry' }

const ofDirectory: readonly FlagDefinition[] = [
  { flag: '--data-dir <DIR>', help: 'directory of the database; default: that of the config, or ./data' },
  config,
  {
    flag: '--timeout <SECONDS>',
    help: 'how long to wait; default 30, for stop and cluster 60, for checkpoint and import 120, for archive 300',
  },
  json,
]

const ofDatabase: readonly FlagDefinition[] = [
  ...ofDirectory,
  { flag: '--url <URL>', help: 'talk to a database over HTTP instead' },
  { flag: '--token <TOKEN>', help: 'for --url; better in COMMANDERDB_TOKEN, where other users cannot see it' },
]

const placeholders: Readonly<Record<string, string>> = {
  path: 'PATH',
  boolean: 'true|false',
  text: 'TEXT',
  choice: 'WHAT',
}

const ofConfig: readonly FlagDefinition[] = [
  config,
  ...configKeys.flatMap(({ flag, help, kind, default: value, unit }): FlagDefinition[] => {
    if (flag === undefined) return []
    if (kind.type === 'list')
      return [{ flag: `${flag} <MODULE>`, help: `${help}; may be repeated`, isRepeatable: true }]
    const usual = value === undefined ? '' : `; default ${String(value)}${unit === undefined ? '' : ` ${unit}`}`
    return [{ flag: `${flag} <${placeholders[kind.type] ?? 'N'}>`, help: help + usual }]
  }),
  { flag: '--no-http', help: 'no HTTP' },
]

const running: readonly VerbDefinition[] = [
  {
    path: 'start',
    help: 'run the database until it is stopped by stop, SIGTERM or SIGINT',
    flags: [
      ...ofConfig,
      {
        flag: '--accept-loss',
        help: 'give up what is damaged in the journal, keep it aside, go on without; this once',
      },
    ],
    load: async () => (await import('./start.ts')).start,
  },
  {
    path: 'status',
    help: 'what runs, and how far it is',
    flags: ofDatabase,
    load: async () => (await import('./status.ts')).status,
  },
  {
    path: 'stop',
    help: 'drain and stop the database, and wait until it has ended',
    flags: ofDirectory,
    load: async () => (await import('./stop.ts')).stop,
  },
  {
    path: 'config',
    help: 'every value of the config, and where it comes from',
    flags: [...ofConfig, json],
    load: async () => (await import('./config.ts')).config,
  },
]

const writing: readonly VerbDefinition[] = [
  {
    path: 'send',
    help: 'send a command and print its outcome',
    arguments: [
      ['<AGGREGATE/ID>', 'for example account/42'],
      ['<COMMAND>', 'for example deposit'],
      ['[JSON]', 'its data; - reads standard input'],
    ],
    flags: [
      { flag: '--idempotency-key <KEY>', help: 'the same key with the same command gives the first outcome' },
      {
        flag: '--wait <WHAT>',
        help: 'when to answer; default completed, or received with --delay',
        choices: ['received', 'completed', 'applied'],
      },
      {
        flag: '--durability <WHAT>',
        help: 'how far the outcome must have come; default flushed',
        choices: ['written', 'flushed', 'replicated', 'applied'],
      },
      { flag: '--expected-revision <N>', help: 'decide only if the aggregate is at this revision' },
      { flag: '--expect-revision <N>', help: 'the same as --expected-revision', isHidden: true },
      ...queueingFlags,
      ...ofDatabase,
    ],
    load: async () => (await import('./send.ts')).send,
  },
  {
    path: 'import',
    help: 'send the commands of a file: NDJSON of { aggregate, id, command, data, idempotencyKey, priority, delayMs }, or CSV with --map',
    arguments: [['<FILE>', 'its path; - reads standard input']],
    flags: [
      { flag: '--map <MODULE>', help: 'module whose toCommand(row) makes a command of each row of a CSV file' },
      { flag: '--concurrency <N>', help: 'commands under way at once; default 256' },
      ...ofDatabase,
    ],
    load: async () => (await import('./import.ts')).importFile,
  },
]

const reading: readonly VerbDefinition[] = [
  {
    path: 'events',
    help: 'print the events of all aggregates',
    flags: [
      { flag: '--after <POSITION>', help: 'begin after this position; default 0' },
      { flag: '--types <a,b>', help: 'only events of these types' },
      { flag: '--follow', help: 'go on with those to come' },
      limit,
      consistencyFlag,
      ...ofDatabase,
    ],
    load: async () => (await import('./events.ts')).events,
  },
  {
    path: 'state',
    help: 'print the state of one aggregate',
    arguments: aggregateArgument,
    flags: [
      { flag: '--at <LSN>', help: 'as it was when this entry was applied' },
      minLsn,
      consistencyFlag,
      ...ofDatabase,
    ],
    load: async () => (await import('./state.ts')).state,
  },
  {
    path: 'projection get',
    help: 'print one row',
    arguments: [
      ['<NAME>', 'of the projection'],
      ['<KEY>', 'of the row'],
    ],
    flags: [minLsn, consistencyFlag, ...ofDatabase],
    load: async () => (await import('./projection.ts')).getRow,
  },
  {
    path: 'projection list',
    help: 'all projections and how far they are',
    flags: ofDatabase,
    load: async () => (await import('./projection.ts')).listProjections,
  },
  {
    path: 'projection rebuild',
    help: 'build one anew from all events',
    arguments: [['<NAME>', 'of the projection']],
    flags: ofDatabase,
    load: async () => (await import('./projection.ts')).rebuild,
  },
]

const idArgument = [['<ID>', 'as its outcome gave it']] as const

const operating: readonly VerbDefinition[] = [
  {
    path: 'command get',
    help: 'what became of a command',
    arguments: idArgument,
    flags: [{ flag: '--wait <SECONDS>', help: 'wait so long for it to end' }, ...ofDatabase],
    load: async () => (await import('./command.ts')).getCommand,
  },
  {
    path: 'command list',
    help: 'parked or pending commands',
    flags: [
      { flag: '--state <STATE>', help: 'default: parked', choices: ['parked', 'pending'] },
      { flag: '--after <ID>', help: 'go on after this command' },
      limit,
      ...ofDatabase,
    ],
    load: async () => (await import('./command.ts')).listCommands,
  },
  {
    path: 'command retry',
    help: 'put a parked command back',
    arguments: idArgument,
    flags: ofDatabase,
    load: async () => (await import('./command.ts')).retryCommand,
  },
  {
    path: 'command skip',
    help: 'give a parked command up for good',
    arguments: idArgument,
    flags: [{ flag: '--reason <TEXT>', help: 'kept in the journal' }, ...ofDatabase],
    load: async () => (await import('./command.ts')).skipCommand,
  },
]

const verifiedArgument = [
  [
    '[PLACE]',
    'a data directory, one with segments, or an archive: a directory or s3://BUCKET/PREFIX; default: the database of the config',
  ],
] as const
const directoryArgument = [['[DIR]', 'a data directory, or one with segments; default: that of the config']] as const

const keeping: readonly VerbDefinition[] = [
  {
    path: 'journal tail',
    help: 'print the last entries',
    arguments: directoryArgument,
    flags: [{ flag: '--entries <N>', help: 'how many; default 20' }, ...ofDirectory],
    load: async () => (await import('./journal.ts')).tail,
  },
  {
    path: 'journal inspect',
    help: 'print segments, frames and entries of a stopped database',
    arguments: directoryArgument,
    flags: ofDirectory,
    load: async () => (await import('./journal.ts')).inspect,
  },
  {
    path: 'journal verify',
    help: 'check every byte of a journal, of a running database up to what is flushed, or of an archive; exit code 1 where it is damaged',
    arguments: verifiedArgument,
    flags: ofDirectory,
    load: async () => (await import('./journal.ts')).verify,
  },
  {
    path: 'checkpoint',
    help: 'flush the store now, so that older segments of the journal are stale',
    flags: ofDirectory,
    load: async () => (await import('./checkpoint.ts')).checkpoint,
  },
  {
    path: 'archive',
    help: 'bring everything that is written by now to the archive, without waiting for its segment to be full',
    flags: ofDirectory,
    load: async () => (await import('./archive.ts')).archive,
  },
  {
    path: 'backup',
    help: 'copy the running database, as of one moment, to a place that is empty',
    arguments: [['<TO>', 'a directory that is absent or empty, or s3://bucket/prefix']],
    flags: ofDirectory,
    load: async () => (await import('./backup.ts')).backup,
  },
  {
    path: 'restore',
    help: 'make a database from a backup or an archive, up to its end, an entry or a time, on a new timeline',
    arguments: [['<FROM>', 'a backup or an archive: a directory, or s3://bucket/prefix']],
    flags: [
      {
        flag: '--data-dir <DIR>',
        help: 'directory to restore to, absent or empty; with --drill the database to compare with',
      },
      {
        flag: '--archive <PLACE>',
        help: 'what came after the backup; default: where the database archived, if it can be reached',
      },
      { flag: '--to-lsn <N>', help: 'up to this entry' },
      { flag: '--to-time <TIME>', help: 'up to the last entries written by then, for example 2026-01-31T12:00:00Z' },
      { flag: '--timeline <N>', help: 'default: the newest' },
      {
        flag: '--accept-difference',
        help: 'make the database although its state is not what checkpoints say it was: it is what the journal says',
      },
      { flag: '--drill', help: 'only show that it can be done: restore to a temporary directory, compare, remove it' },
      config,
      json,
    ],
    load: async () => (await import('./restore.ts')).restore,
  },
]

/** In the order of the help text. */
export const verbs: readonly VerbDefinition[] = [
  ...running,
  ...writing,
  ...streamVerbs(ofDatabase, ofDirectory),
  ...reading,
  ...workflowVerbs(ofDatabase),
  ...operating,
  ...keeping,
  ...clusterVerbs(ofDirectory),
]
