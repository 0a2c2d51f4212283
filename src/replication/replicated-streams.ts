import type { Listener, Transport } from '../ipc/channel.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { lsn, noEpoch } from '../kernel/identifiers.ts'
import { BatchWindow } from './batch-window.ts'
import { ClusterRegistry } from './cluster-registry.ts'
import { ClusterWatch } from './cluster-watch.ts'
import { memberOf } from './group-view.ts'
import type { ServerAnswer } from './messages.ts'
import { type MetadataStore, type MetadataValue, metadataKeys } from './metadata-store.ts'
import { NodeServer } from './node-server.ts'
import { NodeStream } from './node-stream.ts'
import { noStream, ReplicatedStream } from './replicated-stream.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import type { RoleState } from './role-state.ts'
import { satisfiableGroup } from './satisfiable-group.ts'
import { ServerConnections } from './server-connections.ts'
import type { SingleWriteJournal, StreamReader, StreamWriter } from './single-write-journal.ts'
import { createStreamRecord, deleteStreamRecord } from './stream-creation.ts'
import { StreamGroups } from './stream-groups.ts'
import { HandledReader, type HandledStream, HandledWriter } from './stream-handles.ts'
import type { Peer } from './stream-meta.ts'
import type { RoleRunner } from './stream-role.ts'
import { StreamRoles } from './stream-roles.ts'

export interface ReplicatedStreamsOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  /** To journal servers and to other nodes. */
  readonly transport: Transport
  /** A restarted process is another incarnation. At its address it answers other nodes. */
  readonly me: Peer
  readonly policy: ReplicationPolicy
  /** Members of a group may share a device: development only. Default false. */
  readonly mayShareDevice?: boolean
  /** Default 2000. */
  readonly leaseMs?: number
  /** The open segment is sealed and another one begun when so much was appended to it. Default 64 MiB. */
  readonly segmentBytes?: number
  /** The most that one append takes; journal servers must take as much. Default `limits.appendBatchBytesMax`. */
  readonly payloadBytesMax?: number
  /** Nothing is trimmed that lies in no archive (I13). Default false. */
  readonly isArchiving?: boolean
}

const leaseMsDefault = 2000
const segmentBytesDefault = 67_108_864
const lookMs = 100
const readIdMax = 0x7fffffff

/** Streams that journal servers keep, as one node has them: it reads any, and writes those that it leads. */
export class ReplicatedStreams implements SingleWriteJournal {
  readonly #o: ReplicatedStreamsOptions
  readonly #connections: ServerConnections
  readonly #registry: ClusterRegistry
  readonly #watch: ClusterWatch
  readonly #groups: StreamGroups
  readonly #roles: StreamRoles
  readonly #streams = new Map<string, ReplicatedStream>()
  #listener: Listener | null = null
  #timer: Timer | null = null
  #nextReadId = 1
  #isClosed = false

  /** @throws CommanderError `database_locked`: somebody listens at the address already */
  static async open(options: ReplicatedStreamsOptions): Promise<ReplicatedStreams> {
    const streams = new ReplicatedStreams(options)
    try {
      await streams.#listen()
      return streams
    } catch (error) {
      await streams.close()
      throw error
    }
  }

  private constructor(options: ReplicatedStreamsOptions) {
    this.#o = options
    const { environment, metadata, transport, me, policy, mayShareDevice = false, leaseMs = leaseMsDefault } = options
    this.#registry = new ClusterRegistry(metadata, environment)
    this.#connections = new ServerConnections({
      environment,
      transport,
      answered: (answer) => this.#answered(answer),
      connected: ({ id }) => this.#each(({ node }) => node.connected(id)),
      writable: ({ id }) => this.#each(({ node }) => node.writable(id)),
    })
    this.#watch = new ClusterWatch(metadata, environment.log, () =>
      this.#connections.setMembers([...this.#watch.view.servers.values()].map(memberOf)),
    )
    this.#groups = new StreamGroups({
      ...{ log: environment.log, policy, mayShareDevice },
      isConnected: (server) => this.#connections.isConnected(server),
      registered: () => this.#watch.view.servers,
    })
    this.#roles = new StreamRoles({ store: metadata, environment, me, leaseMs, runner: this.#runner() })
    this.#look()
  }

  async createStream(stream: string): Promise<void> {
    const { metadata, environment, policy, mayShareDevice = false } = this.#o
    satisfiableGroup(await this.#registry.servers(), { policy, mayShareDevice })
    const made = await createStreamRecord(metadata, environment, stream)
    if (made === null) throw new CommanderError('already_exists', `there is a stream ${stream} already`)
    this.#seen(stream, made)
  }

  async deleteStream(stream: string): Promise<void> {
    const { metadata, environment } = this.#o
    const epoch = await deleteStreamRecord(metadata, environment, stream)
    if (epoch === null) throw noStream(stream)
    this.#streams.get(stream)?.recordSeen(null)
    // Of one that does not hear of it the rest lies there, and is nobody's: the name goes on above these epochs.
    for (const { id } of await this.#registry.servers())
      this.#connections.send(id, { kind: 'deleteStream', id: this.#readId(), stream, epoch })
  }

  async listStreams(): Promise<readonly string[]> {
    const found = await this.#o.metadata.list(metadataKeys.streams)
    return found.map(({ key }) => key.slice(metadataKeys.streams.length))
  }

  async openStreamReader(stream: string): Promise<StreamReader> {
    return new HandledReader(await this.#handled(stream), stream)
  }

  async openStreamWriter(stream: string): Promise<StreamWriter> {
    return new HandledWriter(await this.#handled(stream), stream, this.#o.payloadBytesMax)
  }

  state(stream: string): RoleState {
    return this.#roles.state(stream)
  }

  observeState(stream: string): AsyncIterable<RoleState> {
    return this.#roles.observeState(stream)
  }

  async campaign(stream: string): Promise<void> {
    const found = await this.#o.metadata.get(metadataKeys.stream(stream))
    if (found === null) throw noStream(stream)
    this.#seen(stream, found)
    this.#roles.want(stream)
  }

  async resign(stream: string): Promise<void> {
    await this.#roles.resign(stream)
  }

  /** What is under way is indeterminate; leases end at once. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#watch.close()
    const stopped = new CommanderError('not_leader', 'this node stops', { retryable: true })
    this.#each((stream) => {
      stream.close()
      stream.node.stop(stopped)
    })
    this.#connections.stop()
    await Promise.all([this.#roles.close(), this.#listener?.close()])
  }

  async #listen(): Promise<void> {
    const server = new NodeServer({
      leader: (stream) => this.#streams.get(stream)?.node.leader ?? null,
      known: (stream) => {
        const { epoch = noEpoch, leader = null } = this.#streams.get(stream)?.node.meta ?? {}
        return { epoch, leader }
      },
    })
    this.#listener = await this.#o.transport.listen(this.#o.me.address, server.accept)
  }

  #runner(): RoleRunner {
    return {
      campaign: (stream, record) => this.#stream(stream).node.campaign(record),
      // Others there are as many as the cluster has; what this node has nothing to do with it does not keep.
      recordSeen: (stream, record) => this.#streams.get(stream)?.recordSeen(record),
      resign: async (stream) => this.#streams.get(stream)?.resign(),
      regroup: (stream, suggestion) => this.#streams.get(stream)?.node.regroup(suggestion),
      leads: (stream) => this.#streams.get(stream)?.node.leader != null,
    }
  }

  async #handled(stream: string): Promise<HandledStream> {
    const found = await this.#o.metadata.get(metadataKeys.stream(stream))
    if (found === null) throw noStream(stream)
    const { isArchiving = false } = this.#o
    const opened = this.#seen(stream, found)
    return {
      append: (payload, entryCount, options) => opened.append(payload, entryCount, options),
      trim: (before) => opened.node.wish({ kind: 'trim', trimLsn: lsn(before - 1), isArchiving }),
      roll: () => opened.node.roll(),
      read: (from, options) => opened.read(from, options),
      known: () => opened.known(),
      linearizable: () => opened.linearizable(),
    }
  }

  #seen(stream: string, value: MetadataValue): ReplicatedStream {
    const opened = this.#stream(stream)
    this.#roles.recorded(stream, value)
    // The role may have seen it, or a later one, before anything was to be done with it here.
    if (opened.node.meta === null) opened.recordSeen(this.#roles.record(stream))
    return opened
  }

  #stream(stream: string): ReplicatedStream {
    const known = this.#streams.get(stream)
    if (known !== undefined) return known
    const { environment, metadata, me, transport } = this.#o
    const node = new NodeStream({
      environment,
      metadata,
      registry: this.#registry,
      servers: this.#connections,
      stream,
      me,
      roles: () => this.#roles,
      groups: this.#groups,
      openWindow: () => new BatchWindow(null),
      nextReadId: () => this.#readId(),
      led: (leader) => made.led(leader),
    })
    const send = this.#connections.send.bind(this.#connections)
    const nextId = (): number => this.#readId()
    const made = new ReplicatedStream({ environment, stream, node, transport, me: me.id, send, nextId })
    this.#streams.set(stream, made)
    return made
  }

  /** The next segment, where one grew too large. */
  #look(): void {
    const { environment, segmentBytes = segmentBytesDefault } = this.#o
    this.#timer = environment.scheduler.after(lookMs, () => this.#look())
    this.#each(({ node }) => {
      const { leader } = node
      if (leader === null || leader.isChangingRecord || leader.segmentBytes < segmentBytes) return
      void node.patient.begin(() => node.rollWish())
    })
  }

  #answered(answer: ServerAnswer): void {
    this.#streams.get(answer.stream)?.answered(answer)
  }

  #each(run: (stream: ReplicatedStream) => void): void {
    for (const stream of this.#streams.values()) run(stream)
  }

  #readId(): number {
    this.#nextReadId = (this.#nextReadId % readIdMax) + 1
    return this.#nextReadId
  }
}
