import { createRequire } from 'node:module'
import { Command, Option, CommanderError as ParserError } from 'commander'
import { messageOf } from '../kernel/errors.ts'
import { configKeys } from '../sdk/config-schema.ts'
import { exitCodeOf, exitCodes } from './exit-code.ts'
import { oneLine, processTerminal, type Terminal } from './terminal.ts'

// By the package's own name, because the distance to package.json differs between src/ and dist/src/.
const { version } = createRequire(import.meta.url)('commanderdb/package.json') as { version: string }

/** Timers of the client do not keep a process alive by themselves: a verb that waits for an answer must. */
const keepAliveMs = 0x7fffffff

/** Runs one command line; resolves to the exit code. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const terminal = processTerminal()
  const keepAlive = setInterval(() => {}, keepAliveMs)
  const cli = new CommandLine(terminal)
  try {
    return await cli.run(argv)
  } catch (error) {
    if (error instanceof ParserError) return usageFailed(terminal, error)
    terminal.error(`commanderdb: ${oneLine(messageOf(error))}\n`)
    return exitCodeOf(error)
  } finally {
    clearInterval(keepAlive)
  }
}

function usageFailed(terminal: Terminal, error: ParserError): number {
  if (error.exitCode === 0) return exitCodes.done
  const isIncomplete = error.code === 'commander.help'
  const reason = isIncomplete ? 'the command line names no verb' : oneLine(error.message.replace(/^error: /, ''))
  terminal.error(`commanderdb: ${reason}; commanderdb --help shows what there is\n`)
  return exitCodes.wrongUsage
}

type Verb = (terminal: Terminal, ...rest: never[]) => Promise<number>
type Flags = Readonly<Record<string, unknown>>

/** The verbs, their flags and their arguments. What a verb does is in a file of its own, loaded when it is used. */
class CommandLine {
  readonly #terminal: Terminal
  readonly #program: Command
  #exitCode: number = exitCodes.done

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#program = new Command('commanderdb')
      .description('A command-driven, event-sourced database')
      .version(version)
      .exitOverride()
      .configureOutput({ outputError: () => {}, writeErr: () => {} })
      .showSuggestionAfterError()
    this.#addOperation()
    this.#addWriting()
    this.#addReading()
    this.#addCommands()
    this.#addJournal()
  }

  async run(argv: readonly string[]): Promise<number> {
    await this.#program.parseAsync([...argv], { from: 'user' })
    return this.#exitCode
  }

  #addOperation(): void {
    this.#verb(
      withConfigFlags(this.#program.command('start')),
      async () => (await import('./start.ts')).start,
    ).description('run the database until it is stopped by stop, SIGTERM or SIGINT')
    this.#verb(
      withTarget(this.#program.command('status')),
      async () => (await import('./status.ts')).status,
    ).description('what runs, and how far it is')
    this.#verb(withDirectory(this.#program.command('stop')), async () => (await import('./stop.ts')).stop).description(
      'drain and stop the database, and wait until it has ended',
    )
    this.#verb(
      withDirectory(this.#program.command('checkpoint')),
      async () => (await import('./checkpoint.ts')).checkpoint,
    ).description('flush the store now, so that older segments of the journal are stale')
    this.#verb(withConfigFlags(this.#program.command('config')), async () => (await import('./config.ts')).config)
      .description('every value of the config, and where it comes from')
      .option('--json', 'for programs')
  }

  #addWriting(): void {
    this.#verb(withTarget(this.#program.command('send')), async () => (await import('./send.ts')).send)
      .description('send a command and print its outcome')
      .argument('<AGGREGATE/ID>', 'for example account/42')
      .argument('<COMMAND>', 'for example deposit')
      .argument('[JSON]', 'its data; - reads standard input')
      .option('--idempotency-key <KEY>', 'the same key with the same command gives the first outcome')
      .addOption(new Option('--wait <WHAT>', 'when to answer').choices(['received', 'completed', 'applied']))
      .addOption(new Option('--durability <WHAT>', 'what to wait for').choices(['flushed', 'written']))
      .option('--expect-revision <N>', 'decide only if the aggregate is at this revision')
    this.#verb(withTarget(this.#program.command('import')), async () => (await import('./import.ts')).importFile)
      .description(
        'send the commands of a file: NDJSON of { aggregate, id, command, data, idempotencyKey }, or CSV with --map',
      )
      .argument('<FILE>', 'its path; - reads standard input')
      .option('--map <MODULE>', 'module whose toCommand(row) makes a command of each row of a CSV file')
      .option('--concurrency <N>', 'commands under way at once; default 256')
  }

  #addReading(): void {
    const limit = ['--limit <N>', 'at most so many'] as const
    const minLsn = ['--min-lsn <LSN>', 'wait until readers see this entry'] as const
    const stream = this.#program.command('stream').description('events of one aggregate')
    this.#verb(withTarget(stream.command('read')), async () => (await import('./events.ts')).readStream)
      .description('print the events of one aggregate')
      .argument('<AGGREGATE/ID>')
      .option('--from <REVISION>', 'first revision; default 1')
      .option(...limit)
    this.#verb(withTarget(this.#program.command('events')), async () => (await import('./events.ts')).events)
      .description('print the events of all aggregates')
      .option('--after <POSITION>', 'begin after this position; default 0')
      .option('--types <a,b>', 'only events of these types')
      .option('--follow', 'go on with those to come')
      .option(...limit)
    this.#verb(withTarget(this.#program.command('state')), async () => (await import('./state.ts')).state)
      .description('print the state of one aggregate')
      .argument('<AGGREGATE/ID>')
      .option('--at <LSN>', 'as it was when this entry was applied')
      .option(...minLsn)
    const projection = this.#program.command('projection').description('read models')
    this.#verb(withTarget(projection.command('get')), async () => (await import('./projection.ts')).getRow)
      .description('print one row')
      .argument('<NAME>')
      .argument('<KEY>')
      .option(...minLsn)
    this.#verb(
      withTarget(projection.command('list')),
      async () => (await import('./projection.ts')).listProjections,
    ).description('all projections and how far they are')
    this.#verb(withTarget(projection.command('rebuild')), async () => (await import('./projection.ts')).rebuild)
      .description('build one anew from all events')
      .argument('<NAME>')
  }

  #addCommands(): void {
    const command = this.#program.command('command').description('single commands')
    this.#verb(withTarget(command.command('get')), async () => (await import('./command.ts')).getCommand)
      .description('what became of a command')
      .argument('<ID>')
      .option('--wait <SECONDS>', 'wait so long for it to end')
    this.#verb(withTarget(command.command('list')), async () => (await import('./command.ts')).listCommands)
      .description('parked or pending commands')
      .addOption(new Option('--state <STATE>', 'default: parked').choices(['parked', 'pending']))
      .option('--limit <N>', 'at most so many')
    this.#verb(withTarget(command.command('retry')), async () => (await import('./command.ts')).retryCommand)
      .description('put a parked command back')
      .argument('<ID>')
    this.#verb(withTarget(command.command('skip')), async () => (await import('./command.ts')).skipCommand)
      .description('give a parked command up for good')
      .argument('<ID>')
      .option('--reason <TEXT>', 'kept in the journal')
  }

  #addJournal(): void {}

  /** @param load of the verb's function, which takes the terminal, the arguments and the flags. */
  #verb(command: Command, load: () => Promise<Verb>): Command {
    return command.action(async (...args: unknown[]) => {
      const verb = (await load()) as (terminal: Terminal, ...rest: unknown[]) => Promise<number>
      const flags = args.at(-2) as Flags
      this.#exitCode = await verb(this.#terminal, ...args.slice(0, -2), flags)
    })
  }
}

const withDirectory = (command: Command): Command =>
  command
    .option('--data-dir <DIR>', 'directory of the database; default: that of the config, or ./data')
    .option('--config <FILE>', 'config file; default: commanderdb.config.ts of the working directory')
    .option('--timeout <SECONDS>', 'how long to wait')
    .option('--json', 'for programs')

const withTarget = (command: Command): Command =>
  withDirectory(command)
    .option('--url <URL>', 'talk to a database over HTTP instead')
    .option('--token <TOKEN>', 'for --url; better in COMMANDERDB_TOKEN, where other users cannot see it')

function withConfigFlags(command: Command): Command {
  command.option('--config <FILE>', 'config file; default: commanderdb.config.ts of the working directory')
  for (const { flag, help, kind, default: value, unit } of configKeys) {
    if (flag === undefined) continue
    const shownDefault =
      value === undefined || kind.type === 'list' ? '' : `; default ${String(value)}${unit ? ` ${unit}` : ''}`
    if (kind.type === 'list') command.option(`${flag} <MODULE>`, `${help}; may be repeated`, collect)
    else command.option(`${flag} <${placeholder(kind.type)}>`, `${help}${shownDefault}`)
  }
  return command.option('--no-http', 'no HTTP')
}

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), value]

const placeholder = (type: string): string =>
  type === 'path'
    ? 'PATH'
    : type === 'boolean'
      ? 'true|false'
      : type === 'text'
        ? 'TEXT'
        : type === 'choice'
          ? 'WHAT'
          : 'N'
