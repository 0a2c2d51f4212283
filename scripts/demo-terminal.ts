import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const program = join(resolve(import.meta.dirname, '..'), 'src', 'cli', 'commanderdb.mjs')

export interface DemoDatabase {
  readonly url: string | null
  /** Resolves with its exit code. */
  readonly ended: Promise<number>
}

/** Types the commands of the demonstration, as a person would, and shows what they say. */
export class DemoTerminal {
  readonly #directory: readonly string[]
  #database: ChildProcess | null = null
  #failed = 1

  /** @param directory flags that name the database */
  constructor(directory: readonly string[]) {
    this.#directory = directory
  }

  /** Exit code of a database that did not start. */
  get failed(): number {
    return this.#failed
  }

  say(text: string): void {
    this.print(`\n# ${text}`)
  }

  print(text: string): void {
    process.stdout.write(`${text}\n`)
  }

  /** Starts a database and resolves once it is ready; null when it ended instead, having said why. */
  async start(flags: readonly string[]): Promise<DemoDatabase | null> {
    const args = ['start', ...this.#directory, ...flags]
    this.#show(args)
    const env = { COMMANDERDB_LOG_LEVEL: 'warn', ...process.env }
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'], env })
    this.#database = child
    const ended = once(child, 'exit').then(([code]) => (code as number | null) ?? 1)
    // Ctrl-C reaches the database by itself, a signal to this process alone does not: asked twice, it still stops once.
    process.on('SIGINT', () => child.kill('SIGTERM')).on('SIGTERM', () => child.kill('SIGTERM'))
    process.once('exit', () => child.kill('SIGTERM'))
    const ready = new Promise<string>((found) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.print(line)
        if (line.startsWith('ready ')) found(line)
      })
    })
    const line = await Promise.race([ready, ended])
    if (typeof line === 'string') return { url: /url=(\S+)/.exec(line)?.[1] ?? null, ended }
    this.#failed = line
    return null
  }

  /** Runs one verb and shows what it says. */
  async commanderdb(...args: readonly string[]): Promise<void> {
    this.#show(args)
    const child = spawn(process.execPath, [program, ...args, ...this.#directory], { stdio: 'inherit' })
    const [code] = (await once(child, 'exit')) as [number | null]
    // A rejection is part of the demonstration.
    if (code === 0 || code === 3) return
    this.#database?.kill('SIGTERM')
    throw new Error(`commanderdb ${args.join(' ')} ended with exit code ${code}`)
  }

  #show(args: readonly string[]): void {
    const words = args.map((word) => (/^[\w./-]+$/.test(word) ? word : `'${word}'`))
    this.print(`\n$ npx commanderdb ${words.join(' ')}`)
  }
}
