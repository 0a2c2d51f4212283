import { createServer } from 'node:net'
import type { TokenConfig } from '../sdk/config.ts'
import { Access } from './http-access.ts'
import { cannotListen } from './http-server-errors.ts'

/**
 * Whether the gateway will be able to listen there, before anything is made and any process is started for it.
 *
 * @throws CommanderError `invalid_config` when the address is taken, not this host's, or open to others without tokens
 */
export async function assertCanListen(
  { host, port }: { readonly host: string; readonly port: number },
  tokens: readonly TokenConfig[],
): Promise<void> {
  new Access(tokens).assertMayListen(host)
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(error, host, port)))
    // As the gateway does it, see fastify-adapter.ts.
    server.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port }, () => server.close(() => resolve()))
  })
}
