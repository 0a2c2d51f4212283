import type { Transport } from '../ipc/channel.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { BatchWindow } from './batch-window.ts'
import { ClusterRegistry } from './cluster-registry.ts'
import { type ClusterView, ClusterWatch } from './cluster-watch.ts'
import { careWish } from './group-care.ts'
import { memberOf } from './group-view.ts'
import { keepHouse } from './housekeeping.ts'
import type { LeaderShell } from './leader-shell.ts'
import type { Wish } from './leader-state.ts'
import type { ServerAnswer } from './messages.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { NodeFeed } from './node-feed.ts'
import { encodeNode, type NodeRecord } from './node-record.ts'
import { NodeStream } from './node-stream.ts'
import { Presence } from './presence.ts'
import { RecentNodes } from './recent-nodes.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { ServerConnections } from './server-connections.ts'
import { type NodeComparison, StateComparison } from './state-comparison.ts'
import type { StreamArchive } from './stream-archive.ts'
import { StreamArchiver } from './stream-archiver.ts'
import { StreamGroups } from './stream-groups.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'
import type { StreamPlace } from './stream-place.ts'
import type { RoleRunner, StreamRecord } from './stream-role.ts'
import { StreamRoles } from './stream-roles.ts'

export interface ReplicaNodeOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly transport: Transport
  readonly stream: string
  readonly me: Peer
  readonly policy: ReplicationPolicy
  /** Members of a group may share a device: development only. */
  readonly mayShareDevice: boolean
  readonly leaseMs: number
  /** With so much in it the open segment is sealed. */
  readonly segmentBytes: number
  readonly openStorage: () => JournalStorage
  /** Where sealed segments go before they are trimmed. Default: nowhere. */
  readonly archive?: StreamArchive | null
  /** What the node says of itself to others. Default: nothing. */
  readonly record?: () => NodeRecord
  readonly handlers: ReplicaNodeHandlers
}

export interface ReplicaNodeHandlers {
  /** This node leads the stream, which ends where `leader.committed` says: the feed brings what is missing here up to there. */
  leads(leader: LeaderShell): void
  /** What is known of the cluster may be another than before. */
  changed(): void
  /** Another node does, or nobody is known to. */
  heard(epoch: number, leader: Peer | null): void
  failed(error: CommanderError): void
}

const lookMs = 100
/** For so long a node that has gone may come back without a store of another one. */
const goneLeases = 5
const readIdMax = 0x7fffffff

/**
 * A node of the database as one of those that follow a stream, of which one leads. Its role decides when to try to lead
 * (stream-role.ts): not while the lease of a leader lasts, unless it is asked to. Then it is a candidate, and follows again when
 * another one was faster. A leader that was deposed does not come back: its process ends, and begins anew as one that follows.
 */
export class ReplicaNode {
  readonly #o: ReplicaNodeOptions
  readonly #connections: ServerConnections
  readonly #watch: ClusterWatch
  readonly #groups: StreamGroups
  readonly #roles: StreamRoles
  readonly #stream: NodeStream
  /** What the journal writer follows. */
  readonly feed: NodeFeed
  /** null without an archive. */
  readonly archiver: StreamArchiver | null
  readonly #presence: Presence | null
  readonly #recent: RecentNodes
  readonly #states: StateComparison
  #leader: LeaderShell | null = null
  #mayLead = false
  #nextReadId = 1
  #timer: Timer | null = null
  #isStopped = false

  constructor(options: ReplicaNodeOptions) {
    this.#o = options
    const { environment, transport, metadata, stream, archive = null, segmentBytes, policy, mayShareDevice } = options
    this.#connections = new ServerConnections({
      environment,
      transport,
      answered: (answer) => this.#answered(answer),
      connected: ({ id }) => this.#stream.connected(id),
      writable: ({ id }) => this.#stream.writable(id),
    })
    this.feed = new NodeFeed({
      environment,
      stream,
      send: (server, request) => this.#connections.send(server, request),
      nextId: () => this.#readId(),
      archive,
      failed: (error) => this.#fail(error),
    })
    const read = this.feed.sealed
    this.archiver = archive && new StreamArchiver({ environment, archive, segmentBytes, read })
    this.#states = new StateComparison(environment.log)
    this.#recent = new RecentNodes(environment.clock, goneLeases * options.leaseMs)
    this.#watch = new ClusterWatch(metadata, environment.log, () => this.#changed())
    this.#groups = new StreamGroups({
      ...{ log: environment.log, policy, mayShareDevice },
      isConnected: (server) => this.#connections.isConnected(server),
      registered: () => this.#watch.view.servers,
    })
    this.#stream = this.#newStream()
    const { record, me, leaseMs } = options
    this.#roles = new StreamRoles({
      store: metadata,
      environment,
      me,
      leaseMs,
      runner: this.#runner(),
      createsStreams: true,
    })
    // So that it is told of it.
    this.#roles.state(stream)
    const key = metadataKeys.node(me.id)
    this.#presence =
      record === undefined
        ? null
        : new Presence({ environment, store: metadata, key, ttlMs: leaseMs, value: () => encodeNode(record()) })
    this.#look()
  }

  /** From now on it leads when nobody does, or when it is asked to. */
  allowToLead(): void {
    this.#mayLead = true
    this.#tellHeard()
    this.#wantToLead()
  }

  get leader(): LeaderShell | null {
    return this.#leader
  }

  get view(): ClusterView {
    return this.#watch.view
  }

  /** Whether the other nodes have the state of this one. */
  get states(): readonly NodeComparison[] {
    return this.#states.all
  }

  get meta(): StreamMeta | null {
    return this.#leader?.meta ?? this.#stream.meta
  }

  /** Where the node stands: the end of what it has of the stream, as far as it is known. */
  get end(): StreamPlace | null {
    const { leader } = this
    return leader === null ? this.feed.end : leader.state.committed
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#timer?.cancel()
    this.#watch.close()
    this.archiver?.stop()
    this.feed.stop()
    this.#stream.stop(new CommanderError('not_leader', 'this node stops', { retryable: true }))
    this.#connections.stop()
    await Promise.all([this.#roles.close(), this.#presence?.stop()])
  }

  #newStream(): NodeStream {
    const { environment, metadata, stream, me, openStorage } = this.#o
    return new NodeStream({
      environment,
      metadata,
      registry: new ClusterRegistry(metadata, environment),
      servers: this.#connections,
      stream,
      me,
      roles: () => this.#roles,
      groups: this.#groups,
      openWindow: () => new BatchWindow(openStorage),
      nextReadId: () => this.#readId(),
      led: (leader) => {
        this.#leader = leader
        this.feed.setMeta(leader.meta)
        this.#o.handlers.leads(leader)
      },
      // What it wrote and nobody committed is in its segments: only a new start can tell what of it stays.
      ended: () => this.#roles.unwant(stream),
    })
  }

  #runner(): RoleRunner {
    return {
      campaign: (_stream, record) => this.#stream.campaign(record),
      recordSeen: (stream, record) => this.#recordSeen(stream, record),
      resign: () => this.#stream.resign(),
      regroup: (_stream, suggestion) => this.#stream.regroup(suggestion),
      leads: () => this.#stream.leader !== null,
    }
  }

  #recordSeen(stream: string, record: StreamRecord | null): void {
    if (this.#isStopped || stream !== this.#o.stream) return
    this.#stream.recordSeen(record)
    this.feed.setMeta(record?.meta ?? null)
    this.#o.handlers.changed()
    this.#tellHeard()
  }

  /** Again when nodes change: where the leader is reached is in its record. */
  #tellHeard(): void {
    const { meta } = this.#stream
    if (meta !== null && this.#leader === null) this.#o.handlers.heard(meta.epoch, meta.leader)
  }

  #changed(): void {
    if (this.#isStopped) return
    this.#connections.setMembers([...this.#watch.view.servers.values()].map(memberOf))
    const own = this.#o.record?.()
    if (own !== undefined) this.#states.compare(own, this.#watch.view.nodes)
    this.#o.handlers.changed()
    this.#tellHeard()
    this.#wantToLead()
  }

  /** As soon as it is known who the journal servers are. */
  #wantToLead(): void {
    if (this.#mayLead && this.#watch.isCurrent && this.#leader === null) this.#roles.want(this.#o.stream)
  }

  #answered(answer: ServerAnswer): void {
    this.feed.answered(answer)
    this.#stream.answered(answer)
  }

  #readId(): number {
    this.#nextReadId = (this.#nextReadId % readIdMax) + 1
    return this.#nextReadId
  }

  #look(): void {
    if (this.#isStopped) return
    this.#timer = this.#o.environment.scheduler.after(lookMs, () => this.#look())
    this.#recent.look(this.#watch.view.nodes)
    if (this.#dueWish() !== null) void this.#stream.patient.begin(() => this.#dueWish())
  }

  #dueWish(): Wish | null {
    const leader = this.#leader
    if (leader === null) return null
    const { isCurrent } = this.#watch
    const { segmentBytes, record } = this.#o
    const own = record?.().keepAfter ?? 0
    return keepHouse(leader, {
      segmentBytes,
      roll: () => this.#stream.rollWish(),
      care: () => careWish(this.#groups.view(leader.meta), leader.state.wishes),
      isCurrent,
      own,
      nodes: this.#recent.all,
      archiver: this.archiver,
    })
  }

  #fail(error: CommanderError): void {
    if (this.#isStopped) return
    void this.stop()
    this.#o.handlers.failed(error)
  }
}
