import type { Transport } from '../ipc/channel.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import { BatchWindow } from './batch-window.ts'
import { type CampaignEvent, type CampaignState, newCampaign, stepCampaign } from './campaign.ts'
import { CandidateShell } from './candidate-shell.ts'
import { type ClusterView, ClusterWatch } from './cluster-watch.ts'
import { LeaderShell } from './leader-shell.ts'
import type { LeaderState } from './leader-state.ts'
import type { Member, ServerAnswer } from './messages.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { NodeFeed } from './node-feed.ts'
import { encodeNode, type NodeRecord } from './node-record.ts'
import { chooseGroup } from './placement.ts'
import { Presence } from './presence.ts'
import type { RecoveryPlan } from './recovery-state.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { satisfiableGroup } from './satisfiable-group.ts'
import { ServerConnections } from './server-connections.ts'
import { newStreamMeta, openSegmentOf, type Peer, type StreamMeta } from './stream-meta.ts'
import { encodeStreamMeta } from './stream-meta-codec.ts'
import type { StreamPlace } from './stream-place.ts'

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
const readIdMax = 0x7fffffff

/**
 * A node of the database as one of those that follow a stream, of which one leads. It follows until the lease of the leader is gone or
 * it is asked to lead; then it is a candidate, and follows again when another one was faster. A leader that was deposed does not
 * come back: its process ends, and begins anew as one that follows.
 */
export class ReplicaNode {
  readonly #o: ReplicaNodeOptions
  readonly #connections: ServerConnections
  readonly #watch: ClusterWatch
  readonly feed: NodeFeed
  #candidate: CandidateShell | null = null
  #leader: LeaderShell | null = null
  #lease: Presence | null = null
  readonly #presence: Presence | null
  #mayLead = false
  #attempts = 0
  #nextReadId = 1
  #campaign: CampaignState
  #timer: Timer | null = null
  #isStopped = false

  constructor(options: ReplicaNodeOptions) {
    this.#o = options
    this.#campaign = newCampaign(options.leaseMs)
    const { environment, transport, metadata, stream } = options
    this.#connections = new ServerConnections({
      environment,
      transport,
      answered: (answer) => this.#answered(answer),
      connected: ({ id }) => this.#leader?.connected(id),
      writable: ({ id }) => this.#leader?.writable(id),
    })
    this.feed = new NodeFeed({
      environment,
      stream,
      send: (server, request) => this.#connections.send(server, request),
      nextId: () => this.#readId(),
      failed: (error) => this.#fail(error),
    })
    this.#watch = new ClusterWatch(metadata, stream, environment.log, () => this.#changed())
    const { record, me, leaseMs } = options
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
  }

  get leader(): LeaderShell | null {
    return this.#leader
  }

  get view(): ClusterView {
    return this.#watch.view
  }

  get meta(): StreamMeta | null {
    return this.#leader?.meta ?? this.#watch.view.record?.meta ?? null
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
    this.feed.stop()
    this.#candidate?.stop()
    this.#leader?.stop(new CommanderError('not_leader', 'this node stops', { retryable: true }))
    this.#connections.stop()
    await Promise.all([this.#lease?.stop(), this.#presence?.stop()])
  }

  #changed(): void {
    if (this.#isStopped) return
    const { record, servers } = this.#watch.view
    this.#connections.setMembers([...servers.values()].map(memberOf))
    this.feed.setMeta(record?.meta ?? null)
    this.#o.handlers.changed()
    if (record === null) return
    const { meta } = record
    this.#candidate?.metaSeen(meta)
    this.#leader?.metaSeen(meta)
    if (this.#leader === null) this.#o.handlers.heard(meta.epoch, meta.leader)
    this.#followSuggestion()
  }

  #answered(answer: ServerAnswer): void {
    this.feed.answered(answer)
    this.#candidate?.answered(answer)
    this.#leader?.answered(answer)
  }

  #readId(): number {
    this.#nextReadId = (this.#nextReadId % readIdMax) + 1
    return this.#nextReadId
  }

  #look(): void {
    if (this.#isStopped) return
    this.#timer = this.#o.environment.scheduler.after(lookMs, () => this.#look())
    this.#keepHouse()
    if (!this.#watch.isCurrent || !this.#mayLead) return
    const { isLeased } = this.#watch.view
    const nowMs = this.#nowMs
    this.#step({ kind: 'leaseSeen', isHeld: isLeased, nowMs, chance: this.#chance })
    this.#step({ kind: 'tick', nowMs })
  }

  /** As leader: sealed segments can be archived, and trimmed once no node needs them. */
  #keepHouse(): void {
    const leader = this.#leader
    if (leader === null || leader.failed !== null || leader.isChangingRecord) return
    if (leader.segmentBytes >= this.#o.segmentBytes) {
      const plan = this.#plan()
      if (plan !== null) leader.wish({ kind: 'roll', group: plan.group, policy: plan.policy })
    } else if (this.#watch.isCurrent) this.#trim(leader)
  }

  #trim(leader: LeaderShell): void {
    const { nodes } = this.#watch.view
    const own = this.#o.record?.().keepAfter ?? 0
    const wanted = lsn(Math.min(own, ...[...nodes.values()].map(({ keepAfter }) => keepAfter)))
    // A whole segment at a time: servers keep segments, not entries.
    const isWorthIt = leader.meta.segments.some((one) => one.state === 'sealed' && one.tail <= wanted)
    if (isWorthIt) leader.wish({ kind: 'trim', trimLsn: wanted, isArchiving: false })
  }

  get #nowMs(): number {
    return this.#o.environment.clock.monotonicMs()
  }

  /** Candidates that disturb each other come apart by it. */
  get #chance(): number {
    return this.#o.environment.random.uint32() / 2 ** 32
  }

  #step(event: CampaignEvent): void {
    const { state, effects } = stepCampaign(this.#campaign, event)
    this.#campaign = state
    if (effects.length > 0) void this.#stand()
  }

  async #stand(): Promise<void> {
    const { environment, metadata, me } = this.#o
    const plan = this.#plan()
    const record = plan === null ? null : await this.#record()
    if (this.#isStopped) return
    if (plan === null || record === null) {
      this.#lost()
      return
    }
    environment.log.info({ epoch: record.meta.epoch }, 'nobody leads, or this node should: it wants to')
    this.#candidate = new CandidateShell({
      environment,
      metadata,
      servers: this.#connections,
      me,
      attempt: ++this.#attempts,
      record,
      plan: { ...plan, members: this.#membersOf(record.meta) },
      nextReadId: () => this.#readId(),
      holdsLease: (isHeld) => this.#holdLease(isHeld),
      elected: (leader) => this.#elected(leader),
      lost: (promised, leader) => {
        environment.log.info({ promised, leader: leader?.id ?? null }, 'another node leads, or wants to')
        this.#lost()
      },
    })
  }

  #holdLease(isHeld: boolean): void {
    const { environment, metadata, stream, me, leaseMs } = this.#o
    if (isHeld === (this.#lease !== null)) return
    const holder = JSON.stringify({ id: me.id, incarnation: me.incarnation })
    const key = metadataKeys.lease(stream)
    void this.#lease?.stop()
    this.#lease = isHeld
      ? new Presence({ environment, store: metadata, key, ttlMs: leaseMs, value: () => holder })
      : null
  }

  #lost(): void {
    this.#candidate = null
    this.#holdLease(false)
    this.#step({ kind: 'lost', nowMs: this.#nowMs, chance: this.#chance })
  }

  #plan(): Omit<RecoveryPlan, 'members'> | null {
    const { policy, mayShareDevice, environment } = this.#o
    const { servers, record } = this.#watch.view
    const present = (record === null ? null : openSegmentOf(record.meta))?.group ?? []
    const active = [...servers.values()].filter(({ state }) => state === 'active')
    const candidates = active.map((server) => ({
      ...server,
      isAlive: this.#connections.isConnected(server.id),
      segments: 0,
      bytes: 0,
    }))
    const alive = candidates.filter(({ isAlive }) => isAlive).map(({ id }) => id)
    const preferred = [...present.filter((id) => alive.includes(id)), ...alive]
    const spares = active.filter(({ id }) => !present.includes(id)).map(memberOf)
    try {
      // With some of them down the group is still whole: those that are up are enough, or nobody leads.
      const ids = chooseGroup(candidates, policy.replicas, present, mayShareDevice)
      const chosen =
        ids?.map((id) => servers.get(id) as RegisteredServer) ??
        satisfiableGroup(active, { policy, present: preferred, mayShareDevice })
      return { group: chosen.map(memberOf), policy, spares }
    } catch (error) {
      if (!isCommanderError(error)) throw error
      environment.log.warn({ servers: [...servers.keys()], error: error.message }, 'nobody can lead yet; waiting')
      return null
    }
  }

  #membersOf(meta: StreamMeta): RecoveryPlan['members'] {
    const { servers } = this.#watch.view
    const group = openSegmentOf(meta)?.group ?? []
    const known = group.flatMap((id) => servers.get(id) ?? [])
    return new Map(known.map((server) => [server.id, memberOf(server)]))
  }

  /** The stream's record as it is now; made where there is none. */
  async #record(): Promise<{ meta: StreamMeta; revision: number } | null> {
    const { metadata, stream, environment } = this.#o
    const { record } = this.#watch.view
    if (record !== null) return record
    const meta = newStreamMeta(stream)
    try {
      const made = await metadata.compareAndSwap(metadataKeys.stream(stream), 0, encodeStreamMeta(meta))
      return made.swapped ? { meta, revision: made.revision } : null
    } catch (error) {
      if (!isCommanderError(error)) throw error
      environment.log.warn({ error: error.message }, 'the stream could not be created; trying again')
      return null
    }
  }

  #elected(state: LeaderState): void {
    const { environment, metadata, openStorage } = this.#o
    this.#candidate = null
    this.#step({ kind: 'led' })
    this.#holdLease(true)
    this.#leader = new LeaderShell({
      environment,
      metadata,
      servers: this.#connections,
      window: new BatchWindow(openStorage),
      state,
    })
    this.feed.setMeta(state.meta)
    this.#o.handlers.leads(this.#leader)
  }

  /** This node is to lead; or, if it does, another one, or on another group. */
  #followSuggestion(): void {
    const { suggestion, servers, record } = this.#watch.view
    const leader = this.#leader
    // Each change that is seen comes here again; what was wished for is wished for once.
    if (leader?.isChangingRecord === true) return
    if (suggestion === null || suggestion.epoch !== record?.meta.epoch) return
    if (leader === null) {
      if (suggestion.leader === this.#o.me.id && this.#mayLead) this.#step({ kind: 'suggested', nowMs: this.#nowMs })
      return
    }
    if (suggestion.leader !== null && suggestion.leader !== this.#o.me.id) {
      leader.wish({ kind: 'resign' })
      return
    }
    const open = openSegmentOf(leader.meta)
    if (suggestion.group === null || open === null) return
    const members = suggestion.group.flatMap((id) => servers.get(id) ?? []).map(memberOf)
    const isSame = members.length === open.group.length && members.every(({ id }) => open.group.includes(id))
    if (members.length === suggestion.group.length && !isSame)
      leader.wish({ kind: 'roll', group: members, policy: open.policy })
  }

  #fail(error: CommanderError): void {
    if (this.#isStopped) return
    void this.stop()
    this.#o.handlers.failed(error)
  }
}

const memberOf = ({ id, identity, address }: Member): Member => ({ id, identity, address })
