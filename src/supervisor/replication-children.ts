import { join } from 'node:path'
import { CommanderError } from '../kernel/errors.ts'
import { type ChildSpecification, childDefaults, restartDefaults } from './child-specification.ts'

/** What the supervisor needs to know of how the journal is replicated. */
export interface SupervisedReplication {
  readonly journal: 'local' | 'replicated'
  readonly nodeId: string | null
  readonly metadata: string | null
  /** Journal servers that this node runs. */
  readonly servers: number
  /** What each of them may take on its disk. */
  readonly serverBytes: number
  /** And no database. */
  readonly serversOnly: boolean
  readonly listen: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null
}

export interface ReplicationChildrenOptions {
  readonly dataDir: string
  readonly replication: SupervisedReplication
  /** Id of the cluster, and of its database. */
  readonly clusterId: string
  /** Absolute path of the program of a role. */
  readonly programOf: (role: string) => string
}

/** Where the nth journal server of a node listens: behind the node's own port, or at a socket in its directory. */
export function serverAddress(replication: SupervisedReplication, directory: string, n: number): string {
  if (replication.tls === null) return join(directory, 'run', 'server.sock')
  const { host, port } = hostAndPort(replication.listen)
  return `tls://${host}:${port + n}`
}

/** Where a node answers other nodes. */
export const nodeAddress = ({ tls, listen }: SupervisedReplication, dataDir: string): string =>
  tls === null ? join(dataDir, 'run', 'node.sock') : `tls://${listen}`

/** The journal servers of this node. One that does not come up takes nothing down: there are others. */
export function replicationChildren(options: ReplicationChildrenOptions): ChildSpecification[] {
  const { dataDir, replication, clusterId, programOf } = options
  const { journal, nodeId, metadata, servers, serverBytes: maxBytes, tls } = replication
  if (journal === 'local') return []
  return Array.from({ length: servers }, (_, index): ChildSpecification => {
    const serverId = `${nodeId}-${index + 1}`
    const directory = join(dataDir, 'servers', serverId)
    const listen = serverAddress(replication, directory, index + 1)
    return {
      name: `journal-server-${serverId}`,
      role: 'journal-server',
      module: programOf('journal-server'),
      config: { serverId, clusterId, dataDir: directory, listen, metadata, maxBytes, ...(tls === null ? {} : { tls }) },
      after: [],
      resources: { maxSemiSpaceMb: 16 },
      restart: restartDefaults,
      essential: false,
      ...childDefaults,
    }
  })
}

function hostAndPort(listen: string): { readonly host: string; readonly port: number } {
  const at = listen.lastIndexOf(':')
  const port = Number(listen.slice(at + 1))
  if (port === 0) {
    const message = 'replication.listen has port 0, but journal servers of this node listen behind it: give a port'
    throw new CommanderError('invalid_config', message)
  }
  return { host: listen.slice(0, at), port }
}
