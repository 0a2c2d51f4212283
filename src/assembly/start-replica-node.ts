import type { Transport } from '../ipc/channel.ts'
import type { LeaderAddress } from '../ipc/leadership.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { noEpoch } from '../kernel/identifiers.ts'
import type { LeaderShell } from '../replication/leader-shell.ts'
import type { MetadataStore } from '../replication/metadata-store.ts'
import { NodeServer } from '../replication/node-server.ts'
import { ReplicaNode } from '../replication/replica-node.ts'
import type { ReplicationPolicy } from '../replication/replication-policy.ts'
import type { Peer } from '../replication/stream-meta.ts'
import type { JournalWriterSettings } from './start-journal-writer.ts'
import { type RunningReplicatedWriter, startReplicatedWriter } from './start-replicated-writer.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface ReplicaNodeSettings extends JournalWriterSettings {
  readonly metadata: MetadataStore
  /** To journal servers and to other nodes. */
  readonly clusterTransport: Transport
  readonly me: Peer
  readonly policy: ReplicationPolicy
  readonly mayShareDevice: boolean
  readonly leaseMs: number
  readonly host: string
  /** Where the gateway listens for clients on this host. */
  readonly socket: string
  /** Where the gateway serves HTTP, as soon as that is known. */
  readonly url: () => string | null
}

export interface RunningReplicaNode extends RunningRole {
  readonly node: ReplicaNode
  readonly running: RunningReplicatedWriter
}

/** The stream of a database: what the cluster keeps is one journal. */
export const databaseStream = 'database'

/** The journal writer of a node of a cluster, with what follows and leads the stream for it. */
export async function startReplicaNode(
  surroundings: Surroundings,
  settings: ReplicaNodeSettings,
): Promise<RunningReplicaNode> {
  const { environment, failed } = surroundings
  const { metadata, clusterTransport, me, policy, mayShareDevice, leaseMs, host, socket, url } = settings
  let running: RunningReplicatedWriter | null = null
  const node: ReplicaNode = new ReplicaNode({
    environment,
    metadata,
    transport: clusterTransport,
    stream: databaseStream,
    me,
    policy,
    mayShareDevice,
    leaseMs,
    segmentBytes: settings.journal.segmentBytes,
    openStorage: surroundings.openStorage,
    record: () => ({
      ...me,
      host,
      socket,
      url: url(),
      end: node.end?.lsn ?? 0,
      keepAfter: running?.writer.retention.checkpoint ?? 0,
    }),
    handlers: {
      leads: (leader) => void lead(leader),
      heard: (epoch, leader) => running?.writer.heardOf(epoch, leader === null ? null : addressOf(leader)),
      failed,
    },
  })
  const addressOf = (leader: Peer): LeaderAddress => {
    const known = node.nodeOf(leader.id)
    return {
      id: leader.id,
      address: leader.address,
      ...(known?.url == null ? {} : { url: known.url }),
      ...(known?.host === host ? { socket: known.socket } : {}),
    }
  }
  const lead = async (leader: LeaderShell): Promise<void> => {
    try {
      await running?.lead(leader, leader.meta.epoch, addressOf(me))
    } catch (error) {
      failed(error as CommanderError)
    }
  }
  const server = new NodeServer({
    leader: (stream) => (stream === databaseStream ? node.leader : null),
    known: () => ({ epoch: node.meta?.epoch ?? noEpoch, leader: node.meta?.leader ?? null }),
  })
  const listener = await clusterTransport.listen(me.address, server.accept)
  const leadership = { leads: false, epoch: node.meta?.epoch ?? 0, leader: null }
  running = await startReplicatedWriter(surroundings, { ...settings, feed: node.feed, leadership })
  node.allowToLead()
  const { stop: stopWriter } = running
  const stop = async (): Promise<void> => {
    await stopWriter()
    await node.stop()
    await listener.close()
  }
  return { node, running, stop }
}
