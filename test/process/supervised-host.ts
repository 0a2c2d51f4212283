import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createSystemEnvironment, systemScheduler } from '../../src/kernel/system-environment.ts'
import { type ChildSpecification, childDefaults, restartDefaults } from '../../src/supervisor/child-specification.ts'
import type { ControlClientOptions } from '../../src/supervisor/status-client.ts'
import type { DiaryLine, FixtureConfig } from '../fixtures/supervisor/child.ts'

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'supervisor')
const pollMs = 50
const pollsMax = 400

/** Asks again and again, a bounded number of times. */
export async function until<Value>(
  what: string,
  ask: () => Value | undefined | false | Promise<Value | undefined | false>,
): Promise<Value> {
  for (let poll = 0; poll < pollsMax; poll++) {
    const value = await ask()
    if (value !== undefined && value !== false) return value
    await sleep(pollMs)
  }
  throw new Error(`not within ${pollsMax} polls: ${what}`)
}

/** A zombie is gone: it only waits for somebody to read its exit code. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** A supervisor process with fixture children, in a directory of its own. */
export class SupervisedHost {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'supervisor-'))
  readonly dataDir: string = join(this.directory, 'data')
  readonly #diary: string = join(this.directory, 'diary')
  readonly #processes: ChildProcess[] = []
  stdout: string = ''
  stderr: string = ''

  specification(name: string, config: FixtureConfig, more: Partial<ChildSpecification> = {}): ChildSpecification {
    return {
      name,
      role: name,
      module: join(fixtures, 'child.ts'),
      config: { diary: this.#diary, ...config },
      after: [],
      resources: {},
      essential: true,
      ...childDefaults,
      restart: { ...restartDefaults, initialDelayMs: 20, maxDelayMs: 100 },
      shutdownMs: 5000,
      ...more,
    }
  }

  start(specifications: readonly ChildSpecification[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const args = [join(fixtures, 'host.ts'), this.dataDir, JSON.stringify(specifications)]
    const host = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
    host.stdout.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString()
    })
    host.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
    this.#processes.push(host)
    return host
  }

  /** One that starts journal servers as well, for which fixture children stand. */
  startOrchestrating(): ChildProcess {
    const host = spawn(process.execPath, [join(fixtures, 'orchestrating-host.ts'), this.dataDir, this.#diary], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    this.#processes.push(host)
    return host
  }

  async startReady(
    specifications: readonly ChildSpecification[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ChildProcess> {
    const host = this.start(specifications, env)
    await until('the ready line', () => /^ready /m.test(this.stdout) || host.exitCode !== null)
    return host
  }

  /** As one whose terminal has stopped: nothing of its output is read from now on. */
  stopReading(host: ChildProcess): void {
    host.stdout?.removeAllListeners('data').pause()
    host.stderr?.removeAllListeners('data').pause()
  }

  exitCodeOf(host: ChildProcess): Promise<number> {
    return until('the exit of the supervisor', () => host.exitCode ?? undefined)
  }

  get diary(): DiaryLine[] {
    if (!existsSync(this.#diary)) return []
    const lines = readFileSync(this.#diary, 'utf8').trim().split('\n')
    return lines.map((line) => JSON.parse(line) as DiaryLine)
  }

  starts(name: string): DiaryLine[] {
    return this.diary.filter((line) => line.name === name && line.event === 'start')
  }

  /** Waits for the n-th life of a child, counted from 1. */
  life(name: string, n: number): Promise<DiaryLine> {
    return until(`life ${n} of ${name}`, () => this.starts(name)[n - 1])
  }

  get client(): ControlClientOptions {
    const transport = createNodeIpcTransport(createSystemEnvironment())
    return { transport, scheduler: systemScheduler, dataDir: this.dataDir }
  }

  async remove(): Promise<void> {
    for (const host of this.#processes) host.kill('SIGKILL')
    for (const { pid } of this.diary) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    await until('the end of all processes', () => this.diary.every(({ pid }) => !isAlive(pid)))
    rmSync(this.directory, { recursive: true, force: true })
  }
}
