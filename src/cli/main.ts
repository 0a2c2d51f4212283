import { createRequire } from 'node:module'
import { Command, Option, CommanderError as ParserError } from 'commander'
import { unknownVariables } from '../sdk/unknown-variables.ts'
import { exitCodeOf, exitCodes, UsageError } from './exit-code.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { type FlagDefinition, groups, type VerbDefinition, verbs } from './verbs.ts'

// By the package's own name, because the distance to package.json differs between src/ and dist/src/.
const { version } = createRequire(import.meta.url)('commanderdb/package.json') as { version: string }

/** The client's timers do not keep a process alive by themselves; a verb that waits for an answer must. */
const keepAliveMs = 0x7fffffff

/** Runs one command line; resolves to the exit code. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const terminal = processTerminal({ isJson: isForPrograms(argv) })
  const keepAlive = setInterval(() => {}, keepAliveMs)
  let exitCode: number = exitCodes.done
  const program = programOf(terminal, (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof ParserError) return usageFailed(terminal, error)
    terminal.fail(error)
    return exitCodeOf(error)
  } finally {
    clearInterval(keepAlive)
  }
}

function usageFailed(terminal: Terminal, error: ParserError): number {
  if (error.exitCode === 0) return exitCodes.done
  const isIncomplete = error.code === 'commander.help'
  const reason = isIncomplete ? 'a verb is missing' : error.message.replace(/^error: /, '').replace(/\.\s*$/, '')
  const hint = /^too many arguments for 'start'/.test(reason) ? 'an application module is named with --app; ' : ''
  terminal.fail(new UsageError(`${reason}; ${hint}--help shows what there is`))
  return exitCodes.wrongUsage
}

/** Known before the line is parsed, so that what is wrong with the line is told in the same form. */
function isForPrograms(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json')
}

type Done = (exitCode: number) => void

function programOf(terminal: Terminal, done: Done): Command {
  const program = new Command('commanderdb')
    .description('A command-driven, event-sourced database')
    .version(version)
    .exitOverride()
    // An error is one line, which `usageFailed` writes.
    .configureOutput({ outputError: () => {}, writeErr: () => {} })
  const parents = new Map<string, Command>()
  for (const definition of verbs) {
    const [first = '', second] = definition.path.split(' ')
    if (second === undefined) addVerb(program.command(first), definition, terminal, done)
    else {
      const parent = parents.get(first) ?? program.command(first).description(groups[first] ?? '')
      parents.set(first, parent)
      addVerb(parent.command(second), definition, terminal, done)
    }
  }
  return program
}

function addVerb(command: Command, definition: VerbDefinition, terminal: Terminal, done: Done): void {
  command.description(definition.help)
  for (const [name, help] of definition.arguments ?? []) command.argument(name, help)
  for (const flag of definition.flags) command.addOption(optionOf(flag))
  command.action(async (...given: unknown[]) => {
    for (const { name, nearest } of unknownVariables(process.env)) {
      terminal.warn(`the variable ${name} is not known and has no effect; the nearest known one is ${nearest}`)
    }
    const verb = await definition.load()
    // The parser adds the command itself behind the arguments and the flags.
    done(await verb(terminal, ...(given.slice(0, -1) as never[])))
  })
}

function optionOf({ flag, help, choices, isRepeatable, isHidden = false }: FlagDefinition): Option {
  const option = new Option(flag, help).hideHelp(isHidden)
  if (choices !== undefined) option.choices([...choices])
  if (isRepeatable === true) option.argParser((value: string, before: readonly string[] = []) => [...before, value])
  return option
}
