import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { until } from './running-database.ts'

const root = resolve(import.meta.dirname, '..', '..')
const binaries = join(root, 'node_modules', '.bin')

/** A fenced block of a Markdown document. */
export interface Block {
  readonly language: string
  readonly text: string
  /** Of the opening fence, from 1. */
  readonly line: number
}

export function blocksOf(markdown: string): readonly Block[] {
  const fenced = /^```(\w*)\n([\s\S]*?)^```$/gm
  return [...markdown.matchAll(fenced)].map(({ 1: language = '', 2: text = '', index }) => {
    return { language, text, line: markdown.slice(0, index).split('\n').length }
  })
}

/** A file of the walk-through says its name in its first line. */
export const fileNameOf = ({ text }: Block): string | undefined => /^\/\/ ([\w.-]+)\n/.exec(text)?.[1]

/** What differs from run to run, in a form in which it does not. */
function steady(text: string): string {
  return text
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, 'TIME')
    .replace(/\b(id|lsn|pid)=\d+/g, '$1=N')
    .replace(/"(lsn|id)":("?)\d+/g, '"$1":$2N')
    .replace(/\b(written|flushed|checkpoint) \d+/g, '$1 N')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .split('\n')
    .map((line) => line.replace(/ +/g, ' ').trim())
    .filter((line) => line !== '')
    .join('\n')
}

/** `…` stands for anything within a line; alone in a line, for any lines. Spaces, empty lines and what `steady` knows do not count. */
export function agrees(expected: string, actual: string): boolean {
  const pattern = steady(expected)
    .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    .replace(/(?<=^|\n)…(\n|$)/g, '(?:.*(?:\\n|$$))*')
    .replaceAll('…', '.*')
  return new RegExp(`^${pattern}$`).test(steady(actual))
}

/** A directory of its own in which `commanderdb` is installed, with a database that a document starts in it. */
export class WalkThrough {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'walk-through-'))
  readonly #numbers = new Map<string, string>()
  #url = 'http://127.0.0.1:7400'
  readonly #databases: ChildProcess[] = []

  constructor() {
    mkdirSync(join(this.directory, 'node_modules'))
    symlinkSync(root, join(this.directory, 'node_modules', 'commanderdb'))
    symlinkSync(join(root, 'node_modules', '@types'), join(this.directory, 'node_modules', '@types'))
    this.write('package.json', '{ "type": "module" }')
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.directory, name), text)
  }

  /** What the compiler says; empty when it is content. */
  typeCheck(): string {
    // In the clone the package's types are its sources, and one of them needs a declaration that no import names.
    const include = ['*.ts', join(root, 'src', 'ipc', 'node-ipc.d.ts')]
    this.write('tsconfig.json', JSON.stringify({ extends: join(root, 'tsconfig.json'), include, exclude: [] }))
    const { stdout, stderr } = spawnSync(join(binaries, 'tsc'), ['-p', this.directory], { encoding: 'utf8' })
    return stdout + stderr
  }

  /** Runs a block of shell to its end; returns what it printed on both outputs, in order. Throws if it fails. */
  run(script: string): string {
    const { stdout, status, error } = spawnSync('sh', ['-e', '-c', this.#prepared(script)], {
      ...this.#surroundings,
      encoding: 'utf8',
      timeout: 60_000,
    })
    if (status !== 0) throw new Error(`exit code ${status} of ${script}\n${error?.message ?? ''}\n${stdout}`)
    return stdout
  }

  /** Runs a block of shell that starts a database; returns what that has printed once it is ready. */
  async start(script: string): Promise<string> {
    const { env, cwd } = this.#surroundings
    const database = spawn('sh', ['-c', this.#prepared(script)], {
      cwd,
      env: { ...env, COMMANDERDB_HTTP_PORT: '0' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    this.#databases.push(database)
    let output = ''
    database.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    const ready = await until('the ready line', () => {
      if (database.exitCode !== null) throw new Error(`the database ended:\n${output}`)
      return /^ready (?:url=(\S+) )?.*\n/m.exec(output)
    })
    // One without HTTP has none.
    this.#url = ready[1] ?? this.#url
    return output
  }

  /** The number of a command may be another than in the document: its later blocks then mean this one. */
  noteNumber(expected: string, actual: string): void {
    const [inDocument, here] = [expected, actual].map((text) => /\bid=(\d+)/.exec(text)?.[1])
    if (inDocument !== undefined && here !== undefined) this.#numbers.set(inDocument, here)
  }

  /** The exit codes of the databases, when they have ended. */
  async ended(): Promise<(number | null)[]> {
    await until('the end of the databases', () =>
      this.#databases.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null),
    )
    return this.#databases.map(({ exitCode }) => exitCode)
  }

  async remove(): Promise<void> {
    for (const database of this.#databases) database.kill('SIGTERM')
    await this.ended()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** npx takes half a second to find what is in the path anyhow. */
  #prepared(script: string): string {
    const here = script
      .replace(/\bcommand (retry|skip|get) (\d+)/g, (_, verb: string, id: string) => {
        return `command ${verb} ${this.#numbers.get(id) ?? id}`
      })
      .replaceAll('http://127.0.0.1:7400', this.#url)
      .replaceAll('npx ', '')
    return `exec 2>&1\n${here.includes('commanderdb start ') ? `exec ${here}` : here}`
  }

  get #surroundings(): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('COMMANDERDB_')))
    return { cwd: this.directory, env: { ...env, PATH: [binaries, env['PATH']].join(delimiter), NO_COLOR: '1' } }
  }
}
