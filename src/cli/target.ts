import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../client/connect-adapter.ts'
import type { Database } from '../client/options.ts'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import type { DatabaseStatus } from '../supervisor/control-protocol.ts'
import { type ControlClientOptions, requestStatus } from '../supervisor/status-client.ts'
import { parseSeconds } from './arguments.ts'
import { UsageError } from './exit-code.ts'
import { type Flags, findDataDirectory } from './settings.ts'

/** The database that a verb works with. */
export type Target =
  | { readonly kind: 'directory'; readonly dataDir: string }
  | { readonly kind: 'url'; readonly url: string; readonly token?: string }

/** `--url` (with `--token` or `COMMANDERDB_TOKEN`), or a data directory. */
export async function findTarget(flags: Flags): Promise<Target> {
  const { url, dataDir } = flags
  const token = flags['token'] ?? process.env['COMMANDERDB_TOKEN']
  if (typeof url !== 'string') {
    if (flags['token'] !== undefined) throw new UsageError('--token is for --url; leave it out, or give the URL')
    return { kind: 'directory', dataDir: await findDataDirectory(flags) }
  }
  if (dataDir !== undefined) throw new UsageError('--url and --data-dir name two databases; give one of them')
  if (!URL.canParse(url)) throw new UsageError(`--url is "${url}", but must be a URL such as http://127.0.0.1:7400`)
  return typeof token === 'string' && token !== '' ? { kind: 'url', url, token } : { kind: 'url', url }
}

const timeoutDefaultMs = 30_000

export const timeoutOf = ({ timeout }: Flags, defaultMs: number = timeoutDefaultMs): number =>
  typeof timeout === 'string' ? parseSeconds('--timeout', timeout) : defaultMs

/**
 * Connects, lets `use` work, and closes. A database that is just starting is waited for.
 *
 * @throws CommanderError `no_database`, `not_ready`
 */
export async function withDatabase<Result>(flags: Flags, use: (db: Database) => Promise<Result>): Promise<Result> {
  const db = await open(await findTarget(flags), timeoutOf(flags))
  try {
    return await use(db)
  } finally {
    await db.close()
  }
}

const lookMs = 100

async function open(target: Target, timeoutMs: number): Promise<Database> {
  if (target.kind === 'url') {
    const { url, token } = target
    return connect(token === undefined ? { url, timeoutMs } : { url, token, timeoutMs })
  }
  const { dataDir } = target
  const endsAtMs = performance.now() + timeoutMs
  for (;;) {
    try {
      return await connect({ dataDir, timeoutMs })
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'no_database') throw error
    }
    const status = await statusOf(dataDir)
    if (performance.now() > endsAtMs) throw notReady(dataDir, status, timeoutMs)
    await sleep(lookMs)
  }
}

function notReady(dataDir: string, { processes }: DatabaseStatus, timeoutMs: number): CommanderError {
  const waiting = processes.filter(({ state }) => state !== 'ready').map(({ name, state }) => `${name} is ${state}`)
  const message = `the database in ${dataDir} is not ready after ${timeoutMs} ms (${waiting.join(', ')}); try again`
  return new CommanderError('not_ready', message)
}

/** For talking to the supervisor of a data directory. */
export function controlClient(dataDir: string): ControlClientOptions & { readonly environment: Environment } {
  const environment = createSystemEnvironment()
  return { transport: createNodeIpcTransport(environment), scheduler: environment.scheduler, environment, dataDir }
}

/** @throws CommanderError `no_database` */
export async function statusOf(dataDir: string): Promise<DatabaseStatus> {
  try {
    return await requestStatus(controlClient(dataDir))
  } catch (error) {
    throw isCommanderError(error) && error.code === 'no_database' ? noDatabase(dataDir, error) : error
  }
}

export function noDatabase(dataDir: string, cause: unknown): CommanderError {
  const message = `no database runs in ${dataDir}; start it with commanderdb start --data-dir ${dataDir}, or name another directory`
  return new CommanderError('no_database', message, { details: { dataDir }, cause })
}
