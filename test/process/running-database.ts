import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectOptions, connect, type Database } from '../../src/client.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createSystemEnvironment, systemScheduler } from '../../src/kernel/system-environment.ts'
import type { Config } from '../../src/sdk/config.ts'
import { resolveConfig } from '../../src/sdk/resolve-config.ts'
import type { DatabaseStatus, ProcessStatus } from '../../src/supervisor/control-protocol.ts'
import { requestStatus } from '../../src/supervisor/status-client.ts'

const root = join(import.meta.dirname, '..', '..')
export const fixtureApplication = (name: string): string => join(root, 'test', 'fixtures', 'applications', `${name}.ts`)

const pollMs = 50
/** Far beyond what anything takes on a busy machine: only what never comes runs into it. */
const pollsMax = 2400

/** Asks again and again, a bounded number of times. */
export async function until<Value>(
  what: string,
  ask: () => Value | undefined | false | null | Promise<Value | undefined | false | null>,
): Promise<Value> {
  for (let poll = 0; poll < pollsMax; poll++) {
    const value = await ask()
    if (value !== undefined && value !== false && value !== null) return value
    await sleep(pollMs)
  }
  throw new Error(`not within ${pollsMax} polls: ${what}`)
}

/** Without HTTP, unless that is given. */
export type TestConfig = Omit<Config, 'dataDir'>

/** Restarts at once and for ever, as tests kill more often than anything fails. */
const restart = { maxRestarts: 1000, initialDelayMs: 10, maxDelayMs: 200 }
const resources = { restart }

/** A whole database: a supervisor process with its children, in a directory of its own. */
export class RunningDatabase {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'database-'))
  readonly dataDir: string = join(this.directory, 'data')
  readonly #log: string = join(this.directory, 'log')
  readonly #config: TestConfig
  readonly #transport = createNodeIpcTransport(createSystemEnvironment())
  readonly #seen = new Set<number>()
  readonly #clients: Database[] = []
  #supervisor: ChildProcess | null = null

  readonly #program: string
  readonly #env: Readonly<Record<string, string>>
  readonly #within: readonly string[]

  /**
   * @param program of the supervisor, with more environment variables. Default: that of every database.
   * @param within what it is started with, before the program: see `NetworkNamespaces`
   */
  constructor(
    config: TestConfig,
    program = 'processes/supervisor.ts',
    env: Readonly<Record<string, string>> = {},
    within: readonly string[] = [],
  ) {
    this.#within = within
    this.#config = config
    this.#program = join(root, program)
    this.#env = env
  }

  static async start(config: TestConfig): Promise<RunningDatabase> {
    const database = new RunningDatabase(config)
    await database.start()
    return database
  }

  /** Resolves once commands are accepted. */
  async start(): Promise<void> {
    this.launch()
    await this.ready()
  }

  launch(): ChildProcess {
    const log = openSync(this.#log, 'a')
    const [program = '', ...args] = [...this.#within, process.execPath, this.#program, JSON.stringify(this.#resolved())]
    const env = { ...process.env, ...this.#env, COMMANDERDB_LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'info' }
    const supervisor = spawn(program, args, { stdio: ['ignore', log, log], env })
    closeSync(log)
    this.#supervisor = supervisor
    return supervisor
  }

  #resolved(): unknown {
    const { applications = [], processes = {}, ...rest } = this.#config
    const role = (name: keyof NonNullable<Config['processes']>): object => ({
      ...resources,
      ...processes[name],
    })
    const file = {
      http: false,
      ...rest,
      dataDir: this.dataDir,
      applications: applications.map((one) => ({ ...one, resources: { ...resources, ...one.resources } })),
      processes: {
        journalWriter: role('journalWriter'),
        dispatcher: role('dispatcher'),
        projectionApplier: role('projectionApplier'),
        gateway: role('gateway'),
        journalServer: role('journalServer'),
        journalMaster: role('journalMaster'),
      },
    }
    return resolveConfig({ file, env: {}, flags: {}, cwd: this.directory }).config
  }

  async ready(): Promise<DatabaseStatus> {
    return until('the database to be ready', async () => {
      if (this.#supervisor?.exitCode !== null) throw new Error(`the supervisor ended:\n${this.log.slice(-1000)}`)
      const status = await this.status()
      return status?.ready === true ? status : null
    })
  }

  /** Null while no supervisor answers. */
  async status(): Promise<DatabaseStatus | null> {
    try {
      const status = await requestStatus({
        transport: this.#transport,
        scheduler: systemScheduler,
        dataDir: this.dataDir,
      })
      for (const { pid } of status.processes) if (pid !== null) this.#seen.add(pid)
      return status
    } catch {
      return null
    }
  }

  async process(name: string): Promise<ProcessStatus> {
    return until(`the process ${name}`, async () => (await this.status())?.processes.find((one) => one.name === name))
  }

  async pidOf(name: string): Promise<number> {
    if (name === 'supervisor') return this.#supervisor?.pid as number
    return until(`the pid of ${name}`, async () => (await this.process(name)).pid)
  }

  /** Sends the signal to a process of this name that runs now. Returns its pid. */
  async signal(name: string, signal: NodeJS.Signals): Promise<number> {
    const pid = await this.pidOf(name)
    this.#seen.add(pid)
    send(pid, signal)
    return pid
  }

  /** SIGSTOP of all its processes but the supervisor. @returns what has them go on */
  async standStill(): Promise<() => void> {
    const pids = (await this.status())?.processes.flatMap(({ pid }) => pid ?? []) ?? []
    for (const pid of pids) send(pid, 'SIGSTOP')
    return () => {
      for (const pid of pids) send(pid, 'SIGCONT')
    }
  }

  /** kill -9 of everything at one moment; returns when all are gone. */
  async killAll(): Promise<void> {
    const status = await this.status()
    const pids = status?.processes.flatMap(({ pid }) => (pid === null ? [] : [pid])) ?? []
    const supervisor = this.#supervisor?.pid
    for (const pid of new Set([...pids, ...(supervisor === undefined ? [] : [supervisor])])) send(pid, 'SIGKILL')
    await this.gone()
  }

  /** Resolves when no process of this database is left. */
  async gone(): Promise<void> {
    await until('the end of all processes', () => [...this.#seen].every((pid) => !isAlive(pid)))
    await until('the end of the supervisor', () => this.#supervisor === null || hasEnded(this.#supervisor))
  }

  /** SIGTERM and its exit code. */
  async stop(): Promise<number | null> {
    await this.status()
    const supervisor = this.#supervisor
    supervisor?.kill('SIGTERM')
    await this.gone()
    return supervisor?.exitCode ?? null
  }

  async connect(options: Partial<Pick<ConnectOptions, 'maxInFlight' | 'timeoutMs'>> = {}): Promise<Database> {
    const client = await connect({ dataDir: this.dataDir, timeoutMs: 120_000, ...options })
    this.#clients.push(client)
    return client
  }

  /** Resident bytes of all processes together. */
  async residentBytes(): Promise<number> {
    const status = await until('a status', () => this.status())
    return status.processes.reduce((sum, { pid }) => sum + (pid === null ? 0 : residentBytesOf(pid)), 0)
  }

  get log(): string {
    return readFileSync(this.#log, 'utf8')
  }

  /** Lines of the log as data. */
  logged(message: string): Record<string, unknown>[] {
    const lines = this.log.split('\n').filter((line) => line.includes(message) && line.startsWith('{'))
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  async remove(): Promise<void> {
    for (const client of this.#clients) await client.close()
    await this.status()
    for (const pid of this.#seen) if (isAlive(pid)) send(pid, 'SIGCONT')
    this.#supervisor?.kill('SIGKILL')
    for (const pid of this.#seen) if (isAlive(pid)) send(pid, 'SIGKILL')
    await this.gone()
    if (process.env['TEST_KEEP'] === undefined) rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Nothing happens where it is gone. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // gone already
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

/** A zombie is gone: it only waits for somebody to read its exit code. */
export function isAlive(pid: number): boolean {
  return !/^State:\s+Z/m.test(statusOf(pid)) && statusOf(pid) !== ''
}

export function residentBytesOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(statusOf(pid))?.[1] ?? 0) * 1024
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}
