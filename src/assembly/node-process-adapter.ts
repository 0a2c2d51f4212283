import { hostname } from 'node:os'
import type { ArchiveStatus } from '../archive/archive-target.ts'
import { type ArchiveLocation, openArchiveTarget } from '../archive/open-target-adapter.ts'
import type { Transport } from '../ipc/channel.ts'
import { createRoutedTransport } from '../ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity } from '../ipc/tls-transport-adapter.ts'
import { claimNodeId } from '../replication/node-claim.ts'
import { openMetadataStore } from '../replication/open-metadata-store-adapter.ts'
import type { NodeComparison } from '../replication/state-comparison.ts'
import type { ResolvedReplication } from '../sdk/replication-config.ts'
import { databaseStream } from './database-stream.ts'
import { DataDirectorySeeds } from './seed-files-adapter.ts'
import type { JournalWriterSettings, RunningJournalWriter } from './start-journal-writer.ts'
import { startReplicaNode } from './start-replica-node.ts'
import type { Surroundings } from './surroundings.ts'

export interface NodeProcessSettings extends JournalWriterSettings {
  readonly replication: ResolvedReplication
  /** Over sockets. */
  readonly transport: Transport
  /** Where this node answers others. */
  readonly address: string
  /** Where its gateway serves HTTP; null where it does not, or not yet. */
  readonly askUrl: () => Promise<string | null>
  /** Where sealed segments of the stream go. */
  readonly archive: ArchiveLocation | null
  readonly dataDir: string
}

export interface RunningNode extends RunningJournalWriter {
  /** null without an archive. */
  readonly archiver: { status(): ArchiveStatus } | null
  /** What came of comparing the states of the nodes, as this one sees it. */
  readonly nodeStates: () => readonly NodeComparison[]
}

/** The gateway starts after the journal writer: where it serves is known later. */
const lookMs = 2000

/** The journal writer of a node as a process of its own. Only databases of clusters load this. */
export async function startNodeProcess(
  surroundings: Surroundings,
  { replication, transport, address, askUrl, archive, dataDir, ...settings }: NodeProcessSettings,
): Promise<RunningNode> {
  const { environment, addresses } = surroundings
  const { policy, leaseMs, tls, dev, nodeId, metadata } = replication
  const identity = tls === null ? null : readTlsIdentity(tls)
  let url: string | null = null
  const look = async (): Promise<void> => {
    url = await askUrl()
    environment.scheduler.after(lookMs, () => void look())
  }
  void look()
  const store = await openMetadataStore(metadata as string, environment)
  const clusterTransport = createRoutedTransport(transport, createTlsTransport(environment, identity))
  const me = { id: nodeId as string, address }
  const place = { host: hostname(), socket: addresses.gateway }
  const claim = { environment, metadata: store, transport: clusterTransport, stream: databaseStream }
  await claimNodeId({ ...claim, me: { ...me, ...place } })
  const { node, running, stop } = await startReplicaNode(surroundings, {
    ...settings,
    ...place,
    metadata: store,
    clusterTransport,
    me: { ...me, incarnation: environment.random.uuid() },
    policy,
    leaseMs,
    mayShareDevice: dev,
    url: () => url,
    archive: archive && (await openArchiveTarget(archive)),
    seeds: new DataDirectorySeeds(dataDir, environment),
  })
  const { archiver } = node
  return {
    ...running,
    archiver: archiver && { status: () => archiver.status(node.meta) },
    nodeStates: () => node.states,
    stop,
  }
}
