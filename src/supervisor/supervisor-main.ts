import { resolve } from 'node:path'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import type { Log } from '../kernel/environment.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { monitorEventLoop } from '../observability/event-loop.ts'
import { createLogOutput, type LogOutput } from '../observability/log-output-adapter.ts'
import { createLogger, type LogLevel } from '../observability/logger-adapter.ts'
import { lockDatabase } from '../observability/process-lock-adapter.ts'
import type { Orchestrator } from '../replication/orchestrator.ts'
import type { ChildSpecification } from './child-specification.ts'
import { controlAddressOf, type DatabaseStatus } from './control-protocol.ts'
import { ExecaSpawner } from './execa-spawner-adapter.ts'
import type { DynamicChildren } from './host-orchestrator.ts'
import type { SupervisionOutcome } from './supervision.ts'
import { Supervisor } from './supervisor.ts'

export interface SuperviseOptions {
  readonly dataDir: string
  readonly logLevel: LogLevel
  /** Called once, with the lock held: may first make what the directory must have. */
  readonly children: () => readonly ChildSpecification[]
  /** Called once, when they are being started: whoever starts journal servers on this host as well. What it throws ends everything. */
  readonly orchestrate?: ((children: DynamicChildren, log: Log) => Promise<Orchestrator>) | undefined
}

/** Interrupts that follow the first one this soon are the same one. */
const sameInterruptMs = 500

/** A reader of our output that has stopped reading must not keep the process from ending. */
const flushTimeoutMs = 1000

/**
 * Makes this process the supervisor of a database: lock, children, control socket, signals, the `ready` line and the
 * log on standard output. SIGTERM, SIGHUP or SIGINT drain and stop; a second SIGINT ends everything at once.
 *
 * @returns how it ended, when all children have ended. The caller exits with `exitCode`.
 * @throws CommanderError `database_locked`, `invalid_config`, and what `children` throws
 */
export async function superviseDatabase(options: SuperviseOptions): Promise<SupervisionOutcome> {
  const dataDir = resolve(options.dataDir)
  const lock = lockDatabase(dataDir, 'database')
  const output = createLogOutput(process.stdout)
  try {
    return await supervise({ ...options, dataDir }, output)
  } finally {
    lock.release()
    await output.flush(flushTimeoutMs)
  }
}

async function supervise(options: SuperviseOptions, output: LogOutput): Promise<SupervisionOutcome> {
  const { dataDir, logLevel } = options
  const log = createLogger({ process: 'supervisor', role: 'supervisor', level: logLevel, output })
  const environment = createSystemEnvironment(log)
  const monitor = monitorEventLoop()
  const spawner = new ExecaSpawner({
    controlAddress: controlAddressOf(dataDir),
    logLevel,
    output,
    log,
    env: process.env,
  })
  const supervisor = new Supervisor({
    environment,
    transport: createNodeIpcTransport(environment),
    spawner,
    dataDir,
    pid: process.pid,
    specifications: options.children(),
    measure: () => ({ eventLoopLagMs: monitor.takeMaxLagMs(), rssBytes: process.memoryUsage.rss() }),
    ready: (status) => output.write(readyLine(status)),
    ...(options.orchestrate === undefined ? {} : { orchestrate: options.orchestrate }),
  })
  const forget = stopOnSignals(supervisor)
  const outcome = await supervisor.run().finally(() => {
    forget()
    spawner.discard()
  })
  monitor.stop()
  return outcome
}

function readyLine({ url, dataDir }: DatabaseStatus): string {
  return `ready ${url === null ? '' : `url=${url} `}pid=${process.pid} dataDir=${dataDir}\n`
}

function stopOnSignals(supervisor: Supervisor): () => void {
  let interruptedAtMs: number | null = null
  let isOver = false
  const stop = (): void => supervisor.stop()
  const interrupt = (): void => {
    if (isOver) return
    const nowMs = performance.now()
    if (interruptedAtMs === null) supervisor.stop()
    // npm passes on a signal that the terminal has sent us already: one Ctrl-C, two signals.
    else if (nowMs - interruptedAtMs > sameInterruptMs) supervisor.kill()
    interruptedAtMs ??= nowMs
  }
  process.on('SIGTERM', stop).on('SIGHUP', stop).on('SIGINT', interrupt)
  return () => {
    // One more interrupt while the process says its last words must not end it as if it had failed.
    isOver = true
    process.off('SIGTERM', stop).off('SIGHUP', stop)
  }
}
