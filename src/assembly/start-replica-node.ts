import type { ArchiveTarget } from '../archive/archive-target.ts'
import { BatchArchive } from '../archive/batch-archive.ts'
import type { Transport } from '../ipc/channel.ts'
import type { LeaderAddress } from '../ipc/leadership.ts'
import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import { noEpoch } from '../kernel/identifiers.ts'
import type { LeaderShell } from '../replication/leader-shell.ts'
import { LinearizableTail } from '../replication/linearizable-tail.ts'
import type { MetadataStore } from '../replication/metadata-store.ts'
import type { NodeRecord } from '../replication/node-record.ts'
import { NodeServer } from '../replication/node-server.ts'
import { ReplicaNode } from '../replication/replica-node.ts'
import type { ReplicationPolicy } from '../replication/replication-policy.ts'
import { replicationRefusal } from '../replication/replication-refusal.ts'
import { SeedServer } from '../replication/seed-server.ts'
import type { Peer } from '../replication/stream-meta.ts'
import { stateHashForm } from '../state/snapshot.ts'
import { databaseStream } from './database-stream.ts'
import { NodeSeeding, type SeedFiles } from './seed-node.ts'
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
  /** Where sealed segments of the stream go. Default: nowhere. */
  readonly archive?: ArchiveTarget | null
  /** How the store of a node comes to another one. Default: it does not. */
  readonly seeds?: SeedFiles
}

export interface RunningReplicaNode extends RunningRole {
  readonly node: ReplicaNode
  readonly running: RunningReplicatedWriter
}

/** The journal writer of a node of a cluster, with what follows and leads the stream for it. */
export async function startReplicaNode(
  surroundings: Surroundings,
  settings: ReplicaNodeSettings,
): Promise<RunningReplicaNode> {
  const { environment, failed } = surroundings
  const { metadata, clusterTransport, me, policy, mayShareDevice, leaseMs, host, socket, url } = settings
  const { archive: target = null, seeds } = settings
  const archive = target && streamArchive(surroundings, target)
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
    archive,
    record: () => ({
      ...me,
      host,
      socket,
      url: url(),
      ...placeOf(node, running),
      ...(archive === null ? {} : { archive: archive.location }),
      mayShareDevice,
    }),
    handlers: {
      leads: (leader) => void lead(leader),
      changed: () => running?.writer.groupChanged(),
      heard: (epoch, leader) => running?.writer.heardOf(epoch, leader === null ? null : addressOf(leader)),
      failed,
    },
  })
  const addressOf = (leader: Peer): LeaderAddress => leaderAddress(leader, node.view.nodes.get(leader.id), host)
  const lead = async (leader: LeaderShell): Promise<void> => {
    await running?.lead(leader, leader.meta.epoch, addressOf(me)).catch((error: CommanderError) => failed(error))
  }
  const server = new NodeServer({
    seeds: seeds === undefined ? null : seedServer(surroundings, seeds),
    leader: (stream) => (stream === databaseStream ? node.leader : null),
    known: () => ({ epoch: node.meta?.epoch ?? noEpoch, leader: node.meta?.leader ?? null }),
  })
  const listener = await clusterTransport.listen(me.address, server.accept)
  const leadership = { leads: false, epoch: node.meta?.epoch ?? 0, leader: null }
  const tail = new LinearizableTail({
    environment,
    transport: clusterTransport,
    stream: databaseStream,
    me: me.id,
    leader: () => node.leader,
    known: () => node.meta?.leader ?? null,
  })
  const start = () =>
    startReplicatedWriter(surroundings, {
      ...settings,
      feed: node.feed,
      leadership,
      readPoint: async () => (await tail.ask()).lsn,
      replicationRefusal: () => replicationRefusal(node.meta, node.view.servers, mayShareDevice),
    })
  running =
    seeds === undefined
      ? await start()
      : await startSeeded(
          new NodeSeeding(surroundings, { metadata, clusterTransport, nodeId: me.id, archive, files: seeds }),
          start,
        )
  node.allowToLead()
  const { stop: stopWriter } = running
  const stop = async (): Promise<void> => {
    tail.stop()
    await stopWriter()
    await node.stop()
    await listener.close()
    await target?.close()
  }
  return { node, running, stop }
}

/** How far the node has come, and to what state. */
function placeOf(
  node: ReplicaNode,
  running: RunningReplicatedWriter | null,
): Pick<NodeRecord, 'end' | 'keepAfter' | 'states'> {
  const points = running?.writer.attestation.agreed.map(({ at, hash }) => ({ lsn: at, hash })) ?? []
  return {
    end: node.end?.lsn ?? 0,
    keepAfter: running?.writer.retention.checkpoint ?? 0,
    states: { form: stateHashForm, points },
  }
}

/** How clients of this host, and of others, reach who leads. */
function leaderAddress({ id, address }: Peer, known: NodeRecord | undefined, host: string): LeaderAddress {
  const url = known?.url == null ? {} : { url: known.url }
  return { id, address, ...url, ...(known?.host === host ? { socket: known.socket } : {}) }
}

/** A node that is behind what the servers keep takes the store of another one first. */
async function startSeeded(
  seeding: NodeSeeding,
  start: () => Promise<RunningReplicatedWriter>,
): Promise<RunningReplicatedWriter> {
  await seeding.beforeStart()
  try {
    return await start()
  } catch (error) {
    if (!isCommanderError(error) || error.code !== 'log_trimmed') throw error
    await seeding.take()
    return start()
  }
}

function seedServer({ environment, journalId }: Surroundings, seeds: SeedFiles): SeedServer {
  const id = Buffer.from(journalId).toString('hex')
  return new SeedServer({ environment, stream: databaseStream, journalId: id, copy: () => seeds.copy() })
}

function streamArchive({ environment, journalId, segmentCodec }: Surroundings, target: ArchiveTarget): BatchArchive {
  const { clock, log } = environment
  return new BatchArchive({
    target,
    stream: databaseStream,
    journalId,
    clock,
    warn: (what) => log.warn({ location: target.location }, what),
    ...(segmentCodec === undefined ? {} : { codec: segmentCodec }),
  })
}
