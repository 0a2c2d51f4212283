import { join } from 'node:path'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment, wakefulScheduler } from '../kernel/system-environment.ts'
import { HttpDatabase } from './http-database.ts'
import { createHttpRequester } from './http-requester-adapter.ts'
import type { ConnectOptions, Database } from './options.ts'
import { SocketDatabase } from './socket-database.ts'

/**
 * Connects to a running database: over its Unix socket, or over HTTP.
 *
 * @throws CommanderError `no_database` when none runs there, `invalid_input` when the URL is none
 * @example
 * const db = await connect({ dataDir: './data' })
 */
export async function connect(options: ConnectOptions): Promise<Database> {
  const database = options.url === undefined ? socketDatabase(options) : connectHttp(options)
  try {
    return await database.open()
  } catch (error) {
    await database.close()
    throw error
  }
}

type HttpOptions = Extract<ConnectOptions, { readonly url: string }>

function socketDatabase(options: Exclude<ConnectOptions, HttpOptions>): SocketDatabase {
  const transport = createNodeIpcTransport(createSystemEnvironment())
  const address = options.socket ?? join(options.dataDir as string, 'run', 'gateway.sock')
  const { maxInFlight, timeoutMs } = options
  return new SocketDatabase({ environment: clientEnvironment(), transport, address, maxInFlight, timeoutMs })
}

/** A client over HTTP that has not connected yet. */
export function connectHttp({ url, token, maxInFlight, timeoutMs }: HttpOptions): HttpDatabase {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.search !== '' || parsed.hash !== '') {
    throw new CommanderError('invalid_input', `the URL "${url}" is not one such as http://127.0.0.1:7400`)
  }
  const requester = createHttpRequester(parsed.href.replace(/\/+$/, ''))
  return new HttpDatabase({ environment: clientEnvironment(), requester, token, maxInFlight, timeoutMs })
}

/** While a client has no connection, its timers are all that keeps the program of its caller from ending. */
const clientEnvironment = (): Environment => ({ ...createSystemEnvironment(), scheduler: wakefulScheduler })
