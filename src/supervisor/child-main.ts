import { flushCompileCache } from 'node:module'
import type { Transport } from '../ipc/channel.ts'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, toWireError } from '../kernel/errors.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import { monitorEventLoop } from '../observability/event-loop.ts'
import { createLogger, type Logger, type LogLevel } from '../observability/logger-adapter.ts'
import { createMetrics, type Metrics } from '../observability/metrics.ts'
import { type ChildLink, connectToSupervisor } from './child-link.ts'
import { type PreviousExit, previousExitVariable } from './child-report.ts'
import type { ChildConfig } from './child-specification.ts'
import { collectGarbage } from './collect-garbage.ts'
import { IdleMemory } from './idle-memory.ts'
import { wrongInputExitCode } from './supervision.ts'

/** What the supervisor writes as the first line of a child's standard input, which then stays open while it lives. */
export interface ChildEnvelope {
  readonly name: string
  readonly role: string
  readonly controlAddress: string
  readonly logLevel: LogLevel
  readonly config: ChildConfig
}

export interface Child<Config> {
  readonly name: string
  readonly role: string
  readonly config: Config
  readonly environment: Environment
  readonly log: Logger
  readonly metrics: Metrics
  readonly transport: Transport
  readonly link: ChildLink
  /** How the last life of this child ended; undefined in the first one. */
  readonly previousExit: PreviousExit | undefined
  /** Logs the error as the reason and exits: 2 when the input (module, config) is wrong, otherwise 1. */
  fail(error: unknown): never
}

/**
 * The main function of every child process: config from the supervisor, log, control connection, signals, last words.
 * `main` wires the role; what it throws ends the process with that error as the reason.
 *
 * C1. The process ends at once when its supervisor is gone: the end of standard input or of the control connection.
 * C2. SIGINT is the supervisor's affair: a terminal sends it to the children too, and the order of stopping would be lost.
 * C3. No error is survived: an uncaught one is logged and ends the process with 1.
 */
export async function runChild<Config>(main: (child: Child<Config>) => Promise<void> | void): Promise<void> {
  process.on('SIGINT', () => {}) // C2
  const envelope = await readEnvelope()
  const { name, role, controlAddress } = envelope
  const log = createLogger({ process: name, role, level: envelope.logLevel })
  const fail = (error: unknown): never => failWith(log, error)
  process.on('uncaughtException', fail) // C3
  process.on('unhandledRejection', fail)
  const environment = createSystemEnvironment(log)
  const transport = createNodeIpcTransport(environment)
  const metrics = createMetrics()
  const monitor = monitorEventLoop()
  const memory = new IdleMemory(collectGarbage)
  const link = connectToSupervisor({
    name,
    role,
    pid: process.pid,
    transport,
    address: controlAddress,
    environment,
    measure: () => {
      const rssBytes = process.memoryUsage.rss()
      memory.sample({ busyShare: monitor.takeBusyShare(), rssBytes })
      return { eventLoopLagMs: monitor.takeMaxLagMs(), rssBytes, metrics: metrics.samples() }
    },
    lost: (error) => exitAsOrphan(log, error), // C1
  })
  process.on('SIGTERM', () => void link.stop().then(() => process.exit(0), fail))
  const config = envelope.config as Config
  const previousExit = readPreviousExit()
  try {
    await main({ name, role, config, environment, log, metrics, transport, link, previousExit, fail })
    // Node writes its compile cache at a normal exit only; a database is more often killed.
    flushCompileCache()
  } catch (error) {
    fail(error)
  }
}

/** Reads the first line; from then on only the end of the input matters. */
function readEnvelope(): Promise<ChildEnvelope> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const take = (chunk: Buffer): void => {
      chunks.push(chunk)
      if (!chunk.includes('\n')) return
      process.stdin.off('data', take)
      process.stdin.resume()
      resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as ChildEnvelope)
    }
    process.stdin.on('data', take)
    process.stdin.on('end', () => {
      reject(
        new CommanderError(
          'invalid_input',
          'this program is started by the supervisor of CommanderDB, not by hand; use commanderdb start',
        ),
      )
      if (chunks.length > 0) process.exit(orphanExitCode) // C1
    })
  })
}

const orphanExitCode = 1

/** No draining: without its supervisor nobody would restart what this process waits for. */
function exitAsOrphan(log: Logger, error: CommanderError | null): never {
  try {
    log.error({ error }, 'the supervisor is gone or refuses this process; exiting')
  } finally {
    process.exit(orphanExitCode)
  }
}

function failWith(log: Logger, error: unknown): never {
  const { code, message } = toWireError(error)
  log.fatal({ error }, message)
  process.exit(code === 'invalid_module' || code === 'invalid_config' ? wrongInputExitCode : 1)
}

function readPreviousExit(): PreviousExit | undefined {
  const text = process.env[previousExitVariable]
  return text === undefined ? undefined : (JSON.parse(text) as PreviousExit)
}
