import { listenFault } from '../ipc/listen-probe-adapter.ts'
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
  // As the gateway does it, see fastify-adapter.ts.
  const fault = await listenFault(host === 'localhost' ? '127.0.0.1' : host, port)
  if (fault !== null) throw cannotListen(fault, host, port)
}
