import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Epoch, epoch, noEpoch } from '../kernel/identifiers.ts'
import type { BatchWindow } from './batch-window.ts'
import { CandidateShell } from './candidate-shell.ts'
import type { ClusterRegistry } from './cluster-registry.ts'
import { membersOfOpen } from './group-plan.ts'
import { LeaderShell } from './leader-shell.ts'
import type { LeaderState, Wish } from './leader-state.ts'
import type { Suggestion } from './master-state.ts'
import type { Member, ServerAnswer, ServerId } from './messages.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'
import { PatientWishes } from './patient-wishes.ts'
import type { RegisteredServer } from './registered-server.ts'
import { sharedDevices } from './satisfiable-group.ts'
import { SealedGroups } from './sealed-groups.ts'
import type { Track } from './segment-track.ts'
import type { ServerLinks } from './server-links.ts'
import type { StreamGroups } from './stream-groups.ts'
import { openSegmentOf, type Peer, type StreamMeta } from './stream-meta.ts'
import { encodeStreamMeta } from './stream-meta-codec.ts'
import type { StreamRecord } from './stream-role.ts'
import type { StreamRoles } from './stream-roles.ts'
import { suggestedWish } from './suggested-wish.ts'
import { putRefusal } from './suggestion-refusal.ts'

export interface NodeStreamOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly registry: ClusterRegistry
  readonly servers: ServerLinks
  readonly stream: string
  readonly me: Peer
  readonly roles: () => Pick<StreamRoles, 'lost' | 'deposed' | 'recorded'>
  readonly groups: StreamGroups
  /** Of what the next lead appends. */
  readonly openWindow: () => BatchWindow
  readonly nextReadId: () => number
  readonly led: (leader: LeaderShell) => void
  /** It led. */
  readonly ended?: (error: CommanderError) => void
}

interface AwaitedWish {
  resolve(): void
  reject(error: CommanderError): void
}

/** What of one stream a node does beyond following it: it carries out what its role decides, as a candidate and as the leader. */
export class NodeStream {
  readonly #o: NodeStreamOptions
  #candidate: CandidateShell | null = null
  #leader: LeaderShell | null = null
  #record: StreamRecord | null = null
  #isDeleted = false
  #attempts = 0
  /** The last suggestion that was not carried out, and why. */
  #refused: { readonly suggestion: Suggestion; readonly why: string } | null = null
  readonly #awaited = new Map<Wish, AwaitedWish>()
  /** Of housekeeping. */
  readonly patient: PatientWishes
  #isStopped = false

  constructor(options: NodeStreamOptions) {
    this.#o = options
    const { metadata, stream } = options
    this.patient = new PatientWishes({
      ask: () => metadata.get(metadataKeys.stream(stream)),
      leader: () => this.leader,
    })
  }

  /** null where this node does not lead. One that has failed leads no more. */
  get leader(): LeaderShell | null {
    return this.#leader?.failed === null ? this.#leader : null
  }

  /** It was there, and is not any more. */
  get isDeleted(): boolean {
    return this.#isDeleted
  }

  /** As far as this node knows. */
  get meta(): StreamMeta | null {
    const seen = this.#record?.meta ?? null
    const own = this.leader?.meta ?? null
    return own !== null && own.epoch >= (seen?.epoch ?? noEpoch) ? own : seen
  }

  /** By the role. */
  campaign(record: StreamRecord): void {
    const { environment, metadata, servers, me, stream, nextReadId, groups } = this.#o
    const { meta } = record
    const plan = groups.plan(meta)
    if (plan === null || this.#isStopped) {
      this.#o.roles().lost(stream, noEpoch)
      return
    }
    environment.log.info({ stream, epoch: meta.epoch }, 'nobody leads, or this node should: it wants to')
    this.#candidate = new CandidateShell({
      environment,
      metadata,
      servers,
      me,
      attempt: ++this.#attempts,
      record,
      plan: { ...plan, members: membersOfOpen(meta, groups.registered) },
      nextReadId,
      elected: (leader) => this.#elected(leader, openSegmentOf(meta)?.group ?? []),
      lost: (promised, leader) => {
        environment.log.info({ stream, promised, leader: leader?.id ?? null }, 'another node leads, or wants to')
        this.#candidate = null
        this.#o.roles().lost(stream, epoch(promised))
      },
    })
  }

  /** By the role. */
  recordSeen(record: StreamRecord | null): void {
    this.#isDeleted = record === null && (this.#record !== null || this.#isDeleted)
    this.#record = record
    if (record === null) {
      this.#end(deleted(this.#o.stream))
      return
    }
    this.#candidate?.metaSeen(record.meta)
    this.#leader?.metaSeen(record.meta)
  }

  /** By the role. */
  async resign(): Promise<void> {
    this.#dropCandidate()
    const { leader } = this
    if (leader === null) return
    await this.#committed(leader)
    if (leader.failed !== null) return
    leader.tellCommitted()
    const { promise: late, resolve } = Promise.withResolvers<'late'>()
    const timer = this.#o.environment.scheduler.after(resignPatienceMs, () => resolve('late'))
    const done = this.wish({ kind: 'resign' }).catch(() => {}) // Deposed: somebody else leads.
    const result = await Promise.race([done, late])
    timer.cancel()
    if (result === 'late') throw lateResignation(this.#o.stream)
  }

  /** By the role: once, however often it is said. */
  regroup(suggestion: Suggestion): void {
    const { leader } = this
    if (leader === null || leader.isChangingRecord) return
    const { me, groups } = this.#o
    const suggested = suggestedWish(suggestion, me.id, groups.view(leader.meta))
    if (suggested.kind === 'wish') leader.wish(suggested.wish)
    else if (suggested.kind === 'refused') this.#refuse(suggestion, suggested.why)
  }

  /**
   * Resolves when the record says so, or there is nothing to be changed.
   * @throws CommanderError `not_leader`, `indeterminate`: this node was deposed meanwhile
   */
  wish(wish: Wish): Promise<void> {
    const { leader } = this
    if (leader === null) return Promise.reject(notLeading(this.#o.stream, this.meta))
    return new Promise((resolve, reject) => {
      this.#awaited.set(wish, { resolve, reject })
      leader.wish(wish)
    })
  }

  /** The next segment, on the servers that are best by now. @throws CommanderError as `wish`; `policy_unsatisfiable` */
  roll(): Promise<void> {
    const { leader } = this
    if (leader === null) return Promise.reject(notLeading(this.#o.stream, this.meta))
    const wish = this.rollWish()
    return wish === null ? Promise.reject(noGroup(this.#o.stream)) : this.wish(wish)
  }

  /** null: this node does not lead, or no group can be had. */
  rollWish(servers: ReadonlyMap<ServerId, RegisteredServer> = this.#o.groups.registered): Wish | null {
    const { leader } = this
    const plan = leader === null ? null : this.#o.groups.plan(leader.meta, servers)
    return plan === null ? null : { kind: 'roll', group: plan.group, policy: plan.policy }
  }

  answered(answer: ServerAnswer): void {
    this.#candidate?.answered(answer)
    this.#leader?.answered(answer)
  }

  connected(server: ServerId): void {
    this.#leader?.connected(server)
  }

  writable(server: ServerId): void {
    this.#leader?.writable(server)
  }

  stop(error: CommanderError): void {
    this.#isStopped = true
    this.#candidate?.stop()
    this.#leader?.stop(error)
  }

  /** To whoever suggested it, each time; to the log once. */
  #refuse(suggestion: Suggestion, why: string): void {
    const { metadata, environment, stream } = this.#o
    const before = this.#refused
    if (before?.suggestion === suggestion && before.why === why) return
    this.#refused = { suggestion, why }
    if (before?.why !== why) environment.log.warn({ stream, suggestion, why }, 'what was suggested is not done')
    putRefusal(metadata, stream, { epoch: suggestion.epoch, why }).catch((error: Error) =>
      environment.log.warn({ stream, error: error.message }, 'who suggested what is not done could not be told'),
    )
  }

  /** @param former - the group that was to be sealed */
  #elected(state: LeaderState, former: readonly ServerId[]): void {
    const { environment, metadata, servers, stream, openWindow, nextReadId, registry } = this.#o
    this.#candidate = null
    const leader = new LeaderShell({
      environment,
      metadata,
      servers,
      window: openWindow(),
      nextReadId,
      state,
      confirmGroup: async (group) => ({ isDeviceShared: sharedDevices(await registry.confirmGroup(group)).length > 0 }),
      groupRefused: () => this.#chooseOthers(leader),
      recorded: (wish, recorded, revision) => {
        this.#recorded(recorded, revision)
        this.#settle(wish)
        if (wish.kind === 'regroup') sealed.named(wish.segmentEpoch, wish.group)
      },
      refusedWish: (wish, what) => {
        environment.log.info({ stream, wish: wish.kind }, `nothing was changed: ${what}`)
        this.#settle(wish)
      },
      ended: (error) => this.#ended(leader, error),
    })
    const sealed = new SealedGroups({ environment, registry, leader, isConnected: (id) => servers.isWritable(id) })
    this.#leader = leader
    this.#recorded(state.meta, state.revision)
    const repaired = state.sealed.at(-1)
    if (repaired !== undefined) sealed.named(repaired.segmentEpoch, addedBy(repaired, state.meta, former))
    this.#o.led(leader)
  }

  #recorded(meta: StreamMeta, revision: number): void {
    const { stream } = this.#o
    const key = metadataKeys.stream(stream)
    this.#o.roles().recorded(stream, { key, value: encodeStreamMeta(meta), revision })
  }

  #settle(wish: Wish): void {
    this.#awaited.get(wish)?.resolve()
    this.#awaited.delete(wish)
  }

  /** C2: by who is registered now, which the watch may show later. */
  async #chooseOthers(leader: LeaderShell): Promise<void> {
    const { registry, environment, stream } = this.#o
    const { epoch: refused } = leader
    try {
      const servers = new Map((await registry.servers()).map((server) => [server.id, server]))
      const roll = this.rollWish(servers)
      // Until there is one, nothing that is appended counts; it is asked again.
      if (roll === null || leader.failed !== null || leader.isChangingRecord || leader.epoch !== refused) return
      leader.wish(roll)
    } catch (error) {
      const { message } = error as Error
      environment.log.warn({ stream, error: message }, 'no other group was chosen yet; trying again')
    }
  }

  #ended(leader: LeaderShell, error: CommanderError): void {
    const { stream, ended } = this.#o
    for (const [wish, awaited] of this.#awaited)
      if (wish.kind !== 'resign') awaited.reject(unknownWhether(wish, error))
      else awaited.resolve()
    this.#awaited.clear()
    if (this.#leader === leader) this.#leader = null
    ended?.(error)
    if (!this.#isStopped) this.#o.roles().deposed(stream, promisedOf(error))
  }

  #end(error: CommanderError): void {
    this.#dropCandidate()
    this.#leader?.stop(error)
  }

  #dropCandidate(): void {
    if (this.#candidate === null) return
    this.#candidate.stop()
    this.#candidate = null
    this.#o.roles().lost(this.#o.stream, noEpoch)
  }

  /** What was appended by now; nothing more is taken meanwhile by who asks for it. */
  async #committed(leader: LeaderShell): Promise<void> {
    leader.flush()
    const { last } = leader.state
    const { scheduler, clock } = this.#o.environment
    const untilMs = clock.monotonicMs() + commitPatienceMs
    while (leader.failed === null && leader.committed < last.lsn && clock.monotonicMs() < untilMs)
      await new Promise<void>((resolve) => scheduler.after(commitLookMs, resolve))
  }
}

/** Whom the repair of a segment has named that were not in its group. */
function addedBy({ segmentEpoch, members }: Track, { segments }: StreamMeta, former: readonly ServerId[]): Member[] {
  const group = segments.find(({ epoch: of }) => of === segmentEpoch)?.group ?? []
  return group.filter((id) => !former.includes(id)).flatMap((id) => members.get(id)?.member ?? [])
}

/** Who gives up the lead waits so long for what is under way. */
const commitPatienceMs = 2000
const commitLookMs = 10
const resignPatienceMs = 10_000

const promisedOf = ({ code, details }: CommanderError): Epoch =>
  code === 'fenced' ? epoch(Number((details as { promised?: number } | undefined)?.promised ?? 0)) : noEpoch

export const notLeading = (stream: string, meta: StreamMeta | null, cause?: unknown): CommanderError => {
  const leader = meta?.leader ?? null
  const who = leader === null ? 'nobody is known to' : `node ${leader.id} at ${leader.address} does`
  return new CommanderError('not_leader', `this node does not lead ${stream}, ${who}: nothing was appended`, {
    details: { leader, epoch: meta?.epoch ?? noEpoch },
    cause,
  })
}

const unknownWhether = ({ kind }: Wish, cause: CommanderError): CommanderError =>
  new CommanderError('indeterminate', `the lead was lost before it was known whether the ${kind} was recorded`, {
    cause,
  })

const lateResignation = (stream: string): CommanderError =>
  new CommanderError(
    'metadata_unavailable',
    `that this node gives up the lead of ${stream} is not recorded yet: it is as soon as the metadata store answers`,
  )

const deleted = (stream: string): CommanderError => new CommanderError('not_found', `the stream ${stream} was deleted`)

const noGroup = (stream: string): CommanderError =>
  new CommanderError('policy_unsatisfiable', `too few journal servers are registered for another segment of ${stream}`)
