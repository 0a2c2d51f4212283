import type { ChildProcess } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { setPriority } from 'node:os'
import { delimiter, join } from 'node:path'
import { execa, execaSync, type Options } from 'execa'
import type { Log } from '../kernel/environment.ts'
import { messageOf, type WireError } from '../kernel/errors.ts'
import type { LogOutput } from '../observability/log-output-adapter.ts'
import type { LogLevel } from '../observability/logger-adapter.ts'
import type { ChildEnvelope } from './child-main.ts'
import { ChildOutput } from './child-output.ts'
import { type PreviousExit, previousExitVariable } from './child-report.ts'
import type { ChildSpecification } from './child-specification.ts'
import { compileCacheDirectory } from './compile-cache-adapter.ts'
import type { ExitReport, SpawnedChild, Spawner, SpawnRequest } from './spawner.ts'

/** The owner file of execa. */
export interface ExecaSpawnerOptions {
  readonly controlAddress: string
  readonly logLevel: LogLevel
  /** Where the children's lines go. */
  readonly output: LogOutput
  readonly log: Log
  /** What the children inherit. */
  readonly env: Readonly<Record<string, string | undefined>>
}

const spawnOptions = {
  stdin: 'pipe',
  stdout: 'pipe',
  stderr: 'pipe',
  encoding: 'buffer',
  buffer: false,
  reject: false,
  extendEnv: false,
  // How children end is the supervision's business, in order and with its own deadlines.
  cleanup: false,
  forceKillAfterDelay: false,
} as const satisfies Options

/** A process that waits for its envelope before it does anything. */
interface LaunchedProcess extends SpawnedChild {
  isRunning(): boolean
  begin(envelope: string, onExit: (exit: ExitReport) => void): void
}

/** The end of a process, told to whoever asks, before or after. */
class ExitOfProcess {
  #report: ExitReport | null = null
  #listener: ((exit: ExitReport) => void) | null = null

  happened(report: ExitReport): void {
    this.#report = report
    this.#listener?.(report)
  }

  tell(listener: (exit: ExitReport) => void): void {
    this.#listener = listener
    const report = this.#report
    if (report !== null) queueMicrotask(() => listener(report))
  }
}

/** From the exit of a process to the end of its output, which a grandchild may hold open for ever. */
const outputGraceMs = 250

export class ExecaSpawner implements Spawner {
  readonly #options: ExecaSpawnerOptions
  readonly #compileCache: string | undefined = compileCacheDirectory()
  readonly #warned = new Set<string>()
  readonly #deathSignalPrefix: readonly string[]
  readonly #prepared = new Map<string, LaunchedProcess>()

  constructor(options: ExecaSpawnerOptions) {
    this.#options = options
    this.#deathSignalPrefix = this.#findDeathSignalPrefix()
  }

  /** Loading a program takes longer than what it then does to start: all of them load at the same time. */
  prepare(specification: ChildSpecification): void {
    this.#prepared.set(specification.name, this.#launch(specification, undefined))
  }

  /** Ends what was prepared and never spawned. */
  discard(): void {
    for (const { kill } of this.#prepared.values()) kill()
    this.#prepared.clear()
  }

  spawn({ specification, previousExit }: SpawnRequest, onExit: (exit: ExitReport) => void): SpawnedChild {
    const prepared = this.#prepared.get(specification.name)
    this.#prepared.delete(specification.name)
    const process = prepared?.isRunning() ? prepared : this.#launch(specification, previousExit)
    process.begin(`${JSON.stringify(this.#envelopeOf(specification))}\n`, onExit)
    return process
  }

  #launch(specification: ChildSpecification, previousExit: PreviousExit | undefined): LaunchedProcess {
    const env = {
      ...optional('NODE_COMPILE_CACHE', this.#compileCache),
      ...this.#options.env,
      ...specification.resources.env,
      ...optional('UV_THREADPOOL_SIZE', specification.resources.uvThreadpoolSize),
      ...optional(previousExitVariable, previousExit === undefined ? undefined : JSON.stringify(previousExit)),
    }
    const [file, ...args] = this.#commandOf(specification) as [string, ...string[]]
    const subprocess = execa(file, args, { ...spawnOptions, env })
    const { pid } = subprocess
    const output = new ChildOutput(this.#options.output, this.#options.log.child({ child: specification.name, pid }))
    const exit = new ExitOfProcess()
    if (pid === undefined) {
      const failed = (reason: string | undefined): void =>
        exit.happened({ code: null, signal: null, fatal: spawnFailure(file, reason) })
      void subprocess.then(({ originalMessage }) => failed(originalMessage))
      return { pid, isRunning: () => false, begin: (_, onExit) => exit.tell(onExit), terminate() {}, kill() {} }
    }
    this.#setNice(specification, pid)
    // A child that ended before it read its envelope breaks the pipe; its exit tells more.
    subprocess.stdin.on('error', () => {})
    subprocess.stdout.on('data', (chunk: Buffer) => output.stdout.push(chunk))
    subprocess.stderr.on('data', (chunk: Buffer) => output.stderr.push(chunk))
    reportExit(subprocess.nodeChildProcess, output, exit)
    return {
      pid,
      isRunning: () => subprocess.nodeChildProcess.exitCode === null && subprocess.nodeChildProcess.signalCode === null,
      begin(envelope, onExit) {
        exit.tell(onExit)
        subprocess.stdin.write(envelope)
      },
      terminate: () => void subprocess.kill('SIGTERM'),
      kill: () => void subprocess.kill('SIGKILL'),
    }
  }

  #envelopeOf({ name, role, config }: ChildSpecification): ChildEnvelope {
    const { controlAddress, logLevel } = this.#options
    return { name, role, controlAddress, logLevel, config }
  }

  /** taskset and setpriv replace themselves by the program, so the pid stays the one that was spawned. */
  #commandOf({ module, resources }: ChildSpecification): string[] {
    return [
      ...this.#affinityPrefix(resources.cpus),
      ...this.#deathSignalPrefix,
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      ...flag('--max-old-space-size', resources.maxOldSpaceMb),
      ...flag('--max-semi-space-size', resources.maxSemiSpaceMb),
      ...(resources.nodeOptions ?? []),
      module,
    ]
  }

  /** As a prefix, so that it holds for every thread from the first on; `taskset -p` afterwards reaches the main thread only. */
  #affinityPrefix(cpus: readonly number[] | string | undefined): readonly string[] {
    if (cpus === undefined || cpus.length === 0) return []
    const prefix = ['taskset', '--cpu-list', typeof cpus === 'string' ? cpus : cpus.join(',')]
    if (!isOnPath('taskset'))
      return this.#without('cpus', 'taskset is not installed: CPU affinity (cpus) has no effect')
    const { exitCode, stderr } = execaSync(prefix[0] as string, [...prefix.slice(1), 'true'], { reject: false })
    if (exitCode === 0) return prefix
    return this.#without(`cpus ${prefix[2]}`, `cpus ${prefix[2]} cannot be used and has no effect: ${String(stderr)}`)
  }

  /** Linux then kills the child with the supervisor, even if it is stopped or in an endless loop. */
  #findDeathSignalPrefix(): readonly string[] {
    const prefix = ['setpriv', '--pdeathsig', 'KILL', '--']
    if (isOnPath('setpriv') && execaSync('setpriv', [...prefix.slice(1), 'true'], { reject: false }).exitCode === 0)
      return prefix
    return this.#without('setpriv', 'setpriv is not usable: a blocked process may outlive a killed supervisor')
  }

  #setNice({ name, resources }: ChildSpecification, pid: number): void {
    if (resources.nice === undefined) return
    try {
      // At once: threads that the child makes later inherit it.
      setPriority(pid, resources.nice)
    } catch (error) {
      this.#without(`nice ${name}`, `nice ${resources.nice} of ${name} has no effect: ${messageOf(error)}`)
    }
  }

  #without(key: string, message: string): readonly string[] {
    if (!this.#warned.has(key)) this.#options.log.warn({}, message)
    this.#warned.add(key)
    return []
  }
}

function optional(name: string, value: string | number | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: String(value) }
}

function flag(name: string, value: number | undefined): string[] {
  return value === undefined ? [] : [`${name}=${value}`]
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function spawnFailure(file: string, reason: string | undefined): WireError {
  return { code: 'process_failed', message: `cannot start ${file}: ${reason ?? 'no reason given'}`, retryable: true }
}

function reportExit(child: ChildProcess, output: ChildOutput, exit: ExitOfProcess): void {
  child.once('exit', (code, signal) => {
    const report = (): void => {
      clearTimeout(timer)
      child.off('close', report)
      output.stdout.end()
      output.stderr.end()
      const fatal = output.lastWords
      exit.happened({ code, signal, ...(fatal === undefined ? {} : { fatal }) })
    }
    const timer = setTimeout(report, outputGraceMs)
    child.once('close', report)
  })
}
