import { join } from 'node:path'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment, wakefulScheduler } from '../kernel/system-environment.ts'
import { HttpDatabase } from './http-database.ts'
import { HttpNodes } from './http-nodes.ts'
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

type HttpOptions = Extract<ConnectOptions, { readonly url: string | readonly string[] }>

function socketDatabase(options: Exclude<ConnectOptions, HttpOptions>): SocketDatabase {
  const transport = createNodeIpcTransport(createSystemEnvironment())
  const { dataDir, socket, maxInFlight, timeoutMs } = options
  const dirs = typeof dataDir === 'string' ? [dataDir] : (dataDir ?? [])
  const addresses = socket === undefined ? dirs.map((dir) => join(dir, 'run', 'gateway.sock')) : [socket]
  if (addresses.length === 0)
    throw new CommanderError('invalid_input', 'the list of data directories is empty; name at least one')
  return new SocketDatabase({ environment: clientEnvironment(), transport, addresses, maxInFlight, timeoutMs })
}

/** A client over HTTP that has not connected yet. */
export function connectHttp({ url, token, maxInFlight, timeoutMs }: HttpOptions): HttpDatabase {
  const urls = (typeof url === 'string' ? [url] : url).map(withoutSlash)
  if (urls.length === 0) throw new CommanderError('invalid_input', 'the list of URLs is empty; name at least one node')
  const nodes = new HttpNodes(urls, createHttpRequester)
  return new HttpDatabase({ environment: clientEnvironment(), nodes, token, maxInFlight, timeoutMs })
}

function withoutSlash(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.search !== '' || parsed.hash !== '') {
    throw new CommanderError('invalid_input', `the URL "${url}" is not one such as http://127.0.0.1:7400`)
  }
  return parsed.href.replace(/\/+$/, '')
}

/** While a client has no connection, its timers are all that keeps the program of its caller from ending. */
const clientEnvironment = (): Environment => ({ ...createSystemEnvironment(), scheduler: wakefulScheduler })
