import { join } from 'node:path'
import { listenFault } from '../ipc/listen-probe-adapter.ts'
import { isTlsAddress, parseTlsAddress } from '../ipc/tls-address.ts'
import { CommanderError } from '../kernel/errors.ts'
import { firstServers, nodeAddress, type SupervisedReplication, serverAddress } from './replication-children.ts'
import { serversName, slotsToBe } from './server-slots.ts'

/**
 * Whether the node of a cluster and the journal servers of its host will be able to listen for others, before anything is made and any process
 * is started for it. Each of them would only fail again and again.
 *
 * @throws CommanderError `invalid_config` when an address is taken, or not this host's
 */
export async function assertCanListenToOthers(replication: SupervisedReplication, dataDir: string): Promise<void> {
  if (replication.journal === 'local') return
  const { listen, serversOnly } = replication
  if (!serversOnly) await assertFree(nodeAddress(replication, dataDir), 'this node', listen)
  for (const [id, slot] of await slotsToBe(dataDir, firstServers(replication))) {
    const address = serverAddress(replication, join(dataDir, serversName, id), slot)
    await assertFree(address, `its journal server ${id}`, listen)
  }
}

/** Sockets are in the data directory, which is locked. */
async function assertFree(address: string, who: string, listen: string): Promise<void> {
  if (!isTlsAddress(address)) return
  const { host, port } = parseTlsAddress(address)
  const fault = await listenFault(host, port)
  if (fault !== null) throw cannotListen(fault, `${host.includes(':') ? `[${host}]` : host}:${port}`, who, listen)
}

function cannotListen(fault: NodeJS.ErrnoException, where: string, who: string, listen: string): CommanderError {
  const what =
    listenFaults[fault.code ?? ''] ?? `cannot be listened on (${fault.message}): choose another replication.listen`
  const message = `${where}, where ${who} is to listen (replication.listen is ${listen}), ${what}`
  return new CommanderError('invalid_config', message, { cause: fault, details: { address: where } })
}

const listenFaults: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another process: stop that one, or choose another replication.listen',
  EACCES: 'may not be listened on by this user: choose a port of 1024 or more for replication.listen',
  EADDRNOTAVAIL: 'is not an address of this host: choose another host for replication.listen',
  ENOTFOUND: 'is not a known name: choose another host for replication.listen',
}
