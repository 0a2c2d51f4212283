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
import { previousExitVariable } from './child-report.ts'
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

/** From the exit of a process to the end of its output, which a grandchild may hold open for ever. */
const outputGraceMs = 250

export class ExecaSpawner implements Spawner {
  readonly #options: ExecaSpawnerOptions
  readonly #compileCache: string | undefined = compileCacheDirectory()
  readonly #warned = new Set<string>()
  readonly #deathSignalPrefix: readonly string[]

  constructor(options: ExecaSpawnerOptions) {
    this.#options = options
    this.#deathSignalPrefix = this.#findDeathSignalPrefix()
  }

  spawn({ specification, previousExit }: SpawnRequest, onExit: (exit: ExitReport) => void): SpawnedChild {
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
    if (pid === undefined) {
      void subprocess.then((result) =>
        onExit({ code: null, signal: null, fatal: spawnFailure(file, result.originalMessage) }),
      )
      return { pid, terminate() {}, kill() {} }
    }
    this.#setNice(specification, pid)
    // A child that ended before it read its envelope breaks the pipe; its exit tells more.
    subprocess.stdin.on('error', () => {})
    subprocess.stdin.write(`${JSON.stringify(this.#envelopeOf(specification))}\n`)
    subprocess.stdout.on('data', (chunk: Buffer) => output.stdout.push(chunk))
    subprocess.stderr.on('data', (chunk: Buffer) => output.stderr.push(chunk))
    const { nodeChildProcess } = subprocess
    nodeChildProcess.once('exit', (code, signal) => {
      const report = (): void => {
        clearTimeout(timer)
        nodeChildProcess.off('close', report)
        output.stdout.end()
        output.stderr.end()
        const fatal = output.lastWords
        onExit({ code, signal, ...(fatal === undefined ? {} : { fatal }) })
      }
      const timer = setTimeout(report, outputGraceMs)
      nodeChildProcess.once('close', report)
    })
    return { pid, terminate: () => void subprocess.kill('SIGTERM'), kill: () => void subprocess.kill('SIGKILL') }
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
