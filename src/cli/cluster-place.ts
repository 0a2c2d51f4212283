import { existsSync } from 'node:fs'
import { createRoutedTransport } from '../ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity } from '../ipc/tls-transport-adapter.ts'
import { CommanderError } from '../kernel/errors.ts'
import { ClusterOperator } from '../replication/cluster-operator.ts'
import { ClusterRegistry } from '../replication/cluster-registry.ts'
import { metadataUnavailable } from '../replication/metadata-store.ts'
import { metadataLocationOf, openMetadataStore } from '../replication/open-metadata-store-adapter.ts'
import { type ClusterPlace, readClusterPlace } from '../store/cluster-place-adapter.ts'
import { UsageError } from './exit-code.ts'
import { type Flags, readSettings } from './settings.ts'
import { controlClient, timeoutOf } from './target.ts'

/** The stream of a database: what a cluster keeps is one journal. */
const stream = 'database'

/** Where a verb finds its cluster. */
interface Place {
  readonly metadata: string
  /** null: whichever it is. */
  readonly clusterId: string | null
  readonly tls: ClusterPlace['tls']
  readonly dataDir: string
}

export interface OpenCluster {
  readonly operator: ClusterOperator
  readonly metadata: string
  /** Of the node whose host is meant where processes are started and ended. */
  readonly dataDir: string
}

const timeoutDefaultMs = 60_000

/**
 * Opens the metadata store of a cluster, lets `use` work, and closes. No database needs to run.
 *
 * @throws CommanderError `metadata_unavailable`; `foreign_cluster`; `not_found`: no cluster is there
 */
export async function withCluster<Result>(
  flags: Flags,
  use: (cluster: OpenCluster) => Promise<Result>,
): Promise<Result> {
  const { metadata, clusterId, tls, dataDir } = await findPlace(flags)
  const { environment, transport } = controlClient(dataDir)
  const identity = tls === null ? null : readTlsIdentity(tls)
  const at = metadataLocationOf(metadata)
  // Whoever only looks makes no directory.
  if (at.kind === 'file' && !existsSync(at.directory)) throw noDirectory(metadata)
  const store = await openMetadataStore(metadata, environment)
  const operator = new ClusterOperator({
    environment,
    metadata: store,
    transport: createRoutedTransport(transport, createTlsTransport(environment, identity)),
    stream,
    timeoutMs: timeoutOf(flags, timeoutDefaultMs),
  })
  try {
    const facts = await operator.facts()
    if (facts.clusterId === null) throw noCluster(metadata)
    // Says which one it is of, where that is another.
    await new ClusterRegistry(store, environment).join(clusterId ?? undefined)
    return await use({ operator, metadata, dataDir })
  } finally {
    operator.close()
    await store.close()
  }
}

/** What is given on the command line counts, then what the node of the data directory has, then the config. */
async function findPlace(flags: Flags): Promise<Place> {
  const { config } = await readSettings(flags)
  const { dataDir, replication } = config
  const known = readClusterPlace(dataDir)
  const isNamed = typeof flags['metadata'] === 'string'
  const metadata = isNamed ? replication.metadata : (known?.metadata ?? replication.metadata)
  if (metadata === null) {
    const message = `${dataDir} is not of a node of a cluster: give --metadata, or --data-dir of a node that was started once`
    throw new UsageError(message)
  }
  // A directory that nobody named is not asked for more than it can be of.
  const isMeant = flags['dataDir'] !== undefined || !isNamed
  const clusterId = replication.clusterId ?? (isMeant ? (known?.clusterId ?? null) : null)
  return { metadata, clusterId, tls: replication.tls ?? known?.tls ?? null, dataDir }
}

const noDirectory = (metadata: string): CommanderError =>
  metadataUnavailable(metadata, 'open', 'there is no such directory; name another one', 'none', { isFinal: true })

const noCluster = (metadata: string): CommanderError =>
  new CommanderError('not_found', `${metadata} holds no cluster: name another metadata store, or start a node with it`)
