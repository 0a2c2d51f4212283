import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createNodeIpcTransport } from '../src/ipc/node-ipc-transport-adapter.ts'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'
import type { Config, ProcessResources } from '../src/sdk/config.ts'
import { resolveConfig } from '../src/sdk/resolve-config.ts'
import { requestStatus } from '../src/supervisor/status-client.ts'
import { measuredEnvironment } from './compile-cache.ts'
import type { ProcessName } from './load.ts'

/** The roles whose processes can be given resources of their own. */
export type BenchRole = 'journal-writer' | 'dispatcher' | 'projection-applier' | 'gateway' | 'application'

export interface DatabaseOptions {
  readonly dataDir: string
  readonly resources?: Partial<Record<BenchRole, ProcessResources>>
  /** What differs from the defaults. */
  readonly config?: Pick<Config, 'journal' | 'archive' | 'replication'>
  /** Path of another application than the bench's; null for none. */
  readonly module?: string | null
}

const bank = join(import.meta.dirname, 'bank-application.ts')

const environment = createSystemEnvironment()
const transport = createNodeIpcTransport(environment)
const supervisorProgram = join(import.meta.dirname, '..', 'processes', 'supervisor.ts')
/** The load client of a database. */
export const databaseClient: string = join(import.meta.dirname, 'load-client.ts')
const startTimeoutMs = 30_000

const supervisors = new Set<ChildProcess>()
process.on('exit', () => {
  for (const supervisor of supervisors) supervisor.kill('SIGKILL')
})

/** A real database: the supervisor and all its children, with the bench's application and otherwise the defaults. */
export class DatabaseProcess {
  readonly dataDir: string
  readonly #supervisor: ChildProcess
  readonly #exited: Promise<unknown>

  private constructor(dataDir: string, supervisor: ChildProcess) {
    this.dataDir = dataDir
    this.#supervisor = supervisor
    this.#exited = once(supervisor, 'exit')
    supervisors.add(supervisor)
    supervisor.once('exit', () => supervisors.delete(supervisor))
  }

  /** Resolves when the database accepts commands. */
  static async start(options: DatabaseOptions): Promise<DatabaseProcess> {
    const { dataDir, config: changes = {} } = options
    const { config } = resolveConfig({
      file: { ...fileOf(options), ...changes },
      env: {},
      flags: {},
      cwd: dataDir,
    })
    const supervisor = spawn(process.execPath, [supervisorProgram, JSON.stringify(config)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...measuredEnvironment(), COMMANDERDB_LOG_LEVEL: 'warn' },
    })
    const database = new DatabaseProcess(dataDir, supervisor)
    try {
      await database.#ready()
      return database
    } catch (error) {
      await database.kill()
      throw error
    }
  }

  /** The processes that run, the supervisor first. */
  async processes(): Promise<readonly ProcessName[]> {
    const { scheduler } = environment
    const { processes } = await requestStatus({ transport, scheduler, dataDir: this.dataDir })
    return processes.flatMap(({ name, pid }) => (pid === null ? [] : [{ name, pid }]))
  }

  /** Whether commands are taken here, as the status says, which may be a second old. */
  async leads(): Promise<boolean> {
    const { scheduler } = environment
    const status = await requestStatus({ transport, scheduler, dataDir: this.dataDir }).catch(() => null)
    return status?.ready === true && status.role === 'leader'
  }

  /** Drains and stops. */
  async stop(): Promise<void> {
    this.#supervisor.kill('SIGTERM')
    await this.#exited
  }

  /** SIGKILL for every process at once. */
  async kill(): Promise<void> {
    const processes = await this.processes().catch(() => [])
    this.#supervisor.kill('SIGKILL')
    for (const { pid } of processes) if (pid !== this.#supervisor.pid) killIfThere(pid)
    await this.#exited
  }

  remove(): void {
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const lines: string[] = []
      const fail = (): void => reject(new Error(`the database did not start:\n${lines.join('')}`))
      const timer = setTimeout(fail, startTimeoutMs)
      this.#supervisor.stdout?.on('data', (chunk: Buffer) => {
        const text = chunk.toString()
        if (/^ready /m.test(text)) {
          clearTimeout(timer)
          resolve()
        } else lines.push(text)
        // After the start the log goes on, and what it warns of belongs beside the figures.
        for (const line of text.split('\n')) if (line.startsWith('{')) process.stderr.write(`${line}\n`)
      })
      this.#exited.then(() => {
        clearTimeout(timer)
        fail()
      })
    })
  }
}

function fileOf({ dataDir, resources = {}, module = bank }: DatabaseOptions): Config {
  return {
    dataDir,
    http: { port: 0 },
    applications: module === null ? [] : [{ module, resources: resources.application ?? {} }],
    processes: {
      journalWriter: resources['journal-writer'] ?? {},
      dispatcher: resources.dispatcher ?? {},
      projectionApplier: resources['projection-applier'] ?? {},
      gateway: resources.gateway ?? {},
    },
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
