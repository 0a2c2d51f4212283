import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const program = join(root, 'src', 'cli', 'commanderdb.mjs')
export const bank: string = join(root, 'src', 'examples', 'bank', 'bank.ts')
export const till: string = join(root, 'test', 'fixtures', 'cli', 'till.ts')

export interface Result {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

/** The real command line, as processes of its own in a directory of its own. */
export class CommandLine {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'command-line-'))
  readonly dataDir: string = join(this.directory, 'data')
  readonly #processes = new Set<RunningCommand>()

  spawn(args: readonly string[], { input, env = {} }: RunOptions = {}): RunningCommand {
    const command = new RunningCommand(this.directory, args, env)
    this.#processes.add(command)
    void command.ended.then(() => this.#processes.delete(command))
    command.process.stdin?.end(input ?? '')
    return command
  }

  run(...args: readonly string[]): Promise<Result> {
    return this.spawn(args).ended
  }

  runWith(options: RunOptions, ...args: readonly string[]): Promise<Result> {
    return this.spawn(args, options).ended
  }

  /** Starts a database and waits for its `ready` line. */
  start(...args: readonly string[]): Promise<StartedDatabase> {
    return this.startWith({}, ...args)
  }

  async startWith(options: RunOptions, ...args: readonly string[]): Promise<StartedDatabase> {
    const command = this.spawn(['start', '--http-port', '0', ...args], options)
    const line = await command.line(/^ready .*$/m)
    const fields = Object.fromEntries(
      line
        .split(' ')
        .slice(1)
        .map((field) => field.split(/=(.*)/s).slice(0, 2)),
    )
    return {
      command,
      line,
      url: fields['url'] as string,
      pid: Number(fields['pid']),
      dataDir: fields['dataDir'] as string,
    }
  }

  /** Ends what is still running, and removes the directory. */
  async remove(): Promise<void> {
    const left = [...this.#processes]
    for (const command of left) command.process.kill('SIGTERM')
    await Promise.all(left.map((command) => command.ended))
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface StartedDatabase {
  readonly command: RunningCommand
  readonly line: string
  readonly url: string
  readonly pid: number
  readonly dataDir: string
}

export class RunningCommand {
  readonly process: ChildProcess
  readonly ended: Promise<Result>
  stdout = ''
  stderr = ''
  #looks: (() => void)[] = []

  constructor(cwd: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    const child = spawn(process.execPath, [program, ...args], { cwd, env: { ...process.env, ...env } })
    this.process = child
    const take = (stream: 'stdout' | 'stderr') => (chunk: string) => {
      this[stream] += chunk
      for (const look of this.#looks) look()
    }
    child.stdout.setEncoding('utf8').on('data', take('stdout'))
    child.stderr.setEncoding('utf8').on('data', take('stderr'))
    child.stdin.on('error', () => {})
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (exitCode, signal) => resolve({ exitCode, signal, stdout: this.stdout, stderr: this.stderr }))
    })
  }

  /** The first match on standard output, as soon as it is there. */
  async line(pattern: RegExp): Promise<string> {
    const found = new Promise<string>((resolve) => {
      const look = (): void => {
        const [text] = pattern.exec(this.stdout) ?? []
        if (text !== undefined) resolve(text)
      }
      this.#looks.push(look)
      look()
    })
    const ended = this.ended.then(({ exitCode, stdout, stderr }) => {
      throw new Error(`ended with ${exitCode} before ${pattern}:\n${stdout.slice(-2000)}\n${stderr}`)
    })
    return Promise.race([found, ended])
  }
}

/** The JSON of a result that must be one, with exit code 0. */
export function jsonOf<Value>({ exitCode, stdout, stderr }: Result): Value {
  if (exitCode !== 0 || stderr !== '') throw new Error(`exit code ${exitCode}: ${stderr}${stdout.slice(0, 2000)}`)
  return JSON.parse(stdout) as Value
}

/** One JSON value a line. */
export const linesOf = <Value>(text: string): Value[] =>
  text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Value]))
