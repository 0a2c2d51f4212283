import { join } from 'node:path'
import { createNodeIpcTransport } from '../ipc/node-ipc-transport-adapter.ts'
import { CommanderError } from '../kernel/errors.ts'
import { createSystemEnvironment } from '../kernel/system-environment.ts'
import type { ConnectOptions, Database } from './options.ts'
import { SocketDatabase } from './socket-database.ts'

/**
 * Connects to a running database.
 *
 * @throws CommanderError `no_database` when none runs there
 * @example
 * const db = await connect({ dataDir: './data' })
 */
export async function connect(options: ConnectOptions): Promise<Database> {
  if (options.url !== undefined) {
    throw new CommanderError('invalid_input', 'connecting by url is not wired yet')
  }
  const environment = createSystemEnvironment()
  const transport = createNodeIpcTransport(environment)
  const address = options.socket ?? join(options.dataDir as string, 'run', 'gateway.sock')
  const { maxInFlight, timeoutMs } = options
  const database = new SocketDatabase({ environment, transport, address, maxInFlight, timeoutMs })
  try {
    return await database.open()
  } catch (error) {
    await database.close()
    throw error
  }
}
