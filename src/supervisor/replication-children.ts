import { join } from 'node:path'
import { CommanderError } from '../kernel/errors.ts'
import type { ReplicationPolicy } from '../replication/replication-policy.ts'
import type { ChildSpecification } from './child-specification.ts'
import { granted, type SupervisedResources } from './granted-resources.ts'

/** What the supervisor needs to know of how the journal is replicated. */
export interface SupervisedReplication {
  readonly journal: 'local' | 'replicated'
  readonly nodeId: string | null
  readonly metadata: string | null
  readonly policy: ReplicationPolicy
  /** Journal servers that this node begins with. */
  readonly servers: number
  /** What each of them may take on its disk. */
  readonly serverBytes: number
  /** And no database. */
  readonly serversOnly: boolean
  /** A master runs here. */
  readonly master: boolean
  readonly sparesMin: number | null
  readonly sparesMax: number
  readonly serverSilenceMs: number
  readonly leaseMs: number
  readonly listen: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null
  readonly dev: boolean
}

export interface ReplicationChildrenOptions {
  readonly dataDir: string
  readonly replication: SupervisedReplication
  readonly processes: Readonly<Record<'journalServer' | 'journalMaster', SupervisedResources>>
  /** Id of the cluster, and of its database. */
  readonly clusterId: string
  /** Absolute path of the program of a role. */
  readonly programOf: (role: string) => string
}

/** The `config` of the process of a master. */
export interface JournalMasterConfig {
  readonly dataDir: string
  readonly replication: SupervisedReplication
}

/** Where a journal server of a node listens: behind the node's own port by its slot, or at a socket in its directory. */
export function serverAddress(replication: SupervisedReplication, directory: string, slot: number): string {
  if (replication.tls === null) return join(directory, 'run', 'server.sock')
  const { host, port } = hostAndPort(replication.listen)
  return `tls://${host}:${port + slot}`
}

/** Where a node answers other nodes. */
export const nodeAddress = ({ tls, listen }: SupervisedReplication, dataDir: string): string =>
  tls === null ? join(dataDir, 'run', 'node.sock') : `tls://${listen}`

/** Ids of the journal servers that a node begins with. */
export const firstServers = ({ nodeId, servers }: SupervisedReplication): readonly string[] =>
  Array.from({ length: servers }, (_, index) => `${nodeId}-${index + 1}`)

/** The process of one journal server. One that does not come up takes nothing down: there are others. */
export function journalServerChild(
  { replication, processes, clusterId, programOf }: ReplicationChildrenOptions,
  serverId: string,
  directory: string,
  slot: number,
): ChildSpecification {
  const { metadata, serverBytes: maxBytes, tls } = replication
  const listen = serverAddress(replication, directory, slot)
  const role = 'journal-server'
  return {
    ...beside(role, processes.journalServer),
    name: `journal-server-${serverId}`,
    module: programOf(role),
    config: { serverId, clusterId, dataDir: directory, listen, metadata, maxBytes, ...(tls === null ? {} : { tls }) },
  }
}

/** The process of a master. Without it nobody suggests anything; appends go on. */
export function journalMasterChild({
  dataDir,
  replication,
  processes,
  programOf,
}: ReplicationChildrenOptions): ChildSpecification {
  const config: JournalMasterConfig = { dataDir, replication }
  const role = 'journal-master'
  return { ...beside(role, processes.journalMaster), name: role, module: programOf(role), config }
}

/** Beside the database: it waits for nothing, and takes nothing down. */
const beside = (
  role: string,
  resources: SupervisedResources,
): Omit<ChildSpecification, 'name' | 'module' | 'config'> => ({
  ...granted(role, resources),
  role,
  after: [],
  essential: false,
})

function hostAndPort(listen: string): { readonly host: string; readonly port: number } {
  const at = listen.lastIndexOf(':')
  const port = Number(listen.slice(at + 1))
  if (port === 0) {
    const message = 'replication.listen has port 0, but journal servers of this node listen behind it: give a port'
    throw new CommanderError('invalid_config', message)
  }
  return { host: listen.slice(0, at), port }
}
