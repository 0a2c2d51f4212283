import { type Epoch, type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { lastLsnOf, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { type CampaignEvent, type CampaignState, newCampaign, stepCampaign } from '../../../src/replication/campaign.ts'
import { stepLeader } from '../../../src/replication/leader.ts'
import {
  isFull,
  type LeaderEffect,
  type LeaderEvent,
  type LeaderState,
  type Wish,
} from '../../../src/replication/leader-state.ts'
import type { Member, ServerAnswer } from '../../../src/replication/messages.ts'
import { beginRecovery, stepRecovery } from '../../../src/replication/recovery.ts'
import type {
  RecoveryEffect,
  RecoveryEvent,
  RecoveryPlan,
  RecoveryState,
  RecoveryStep,
} from '../../../src/replication/recovery-state.ts'
import type { Members } from '../../../src/replication/rules.ts'
import { openSegmentOf, type Peer } from '../../../src/replication/stream-meta.ts'
import type { Cluster } from './cluster.ts'
import { Fetcher } from './fetcher.ts'
import { Follower } from './follower.ts'
import type { Recorded, Seen, SwapResult } from './metadata.ts'
import { NodeStore } from './node-store.ts'
import { type Receiver, stream } from './server-shell.ts'
import { Process } from './world.ts'

export type Outcome = 'acknowledged' | 'notLeader' | 'indeterminate'

interface Outstanding {
  readonly batch: ReplicatedBatch
  readonly segmentEpoch: () => Epoch
  readonly done: (outcome: Outcome) => void
}

type Role =
  | { readonly kind: 'follower' }
  | { readonly kind: 'candidate'; readonly state: RecoveryState }
  | { readonly kind: 'leader'; readonly state: LeaderState }

const tickMs = 50
const confirmMs = 3
const streamBatchesMost = 8

/** As a role does: from when the epoch is its own, for as long as a repair may reasonably take. */
const holdsLease = ({ phase, nowMs, startedMs }: RecoveryState): boolean =>
  phase !== 'electing' && phase !== 'over' && nowMs - startedMs < limits.recoveryPatienceMs

/** A node: it follows, tries to lead when nobody does, and leads. */
export class NodeShell extends Process implements Receiver {
  readonly id: string
  readonly cluster: Cluster
  readonly store = new NodeStore()
  readonly follower: Follower
  role: Role = { kind: 'follower' }
  /** The record as it was last seen: possibly an old one. */
  seen: Recorded
  /** Its first entry is committed (O7): it takes appends. */
  isServing = false
  readonly #fetcher: Fetcher
  #campaign: CampaignState
  #attempts = 0
  #outstanding: Outstanding[] = []
  readonly #readers = new Map<number, (tail: Lsn | null) => void>()
  #nextReader = 1

  constructor(cluster: Cluster, id: string) {
    super(cluster.world, id, cluster.plan.clockDrift)
    this.id = id
    this.cluster = cluster
    this.seen = cluster.metadata.current
    this.follower = new Follower(this)
    this.#fetcher = new Fetcher(this)
    this.#campaign = newCampaign(cluster.plan.leaseMs)
    this.#begin()
  }

  get me(): Peer {
    return { id: this.id, incarnation: `${this.id}#${this.life}`, address: this.id }
  }

  get leader(): LeaderState | null {
    return this.role.kind === 'leader' ? this.role.state : null
  }

  #begin(): void {
    const { leaseMs } = this.cluster.plan
    const { random } = this.world
    this.after(random.integer(1, tickMs), () => this.every(tickMs, () => this.#tick()))
    this.after(random.integer(1, leaseMs), () => this.every(leaseMs / 4, () => this.#poll()))
    this.follower.begin()
  }

  crash(): void {
    if (!this.isUp) return
    this.isUp = false
    this.life++
    this.#fail('indeterminate')
    this.role = { kind: 'follower' }
    this.isServing = false
    this.#fetcher.stop()
    // The cache: what is committed is as good as ever, if the disk kept it.
    if (this.world.random.chance(0.5)) this.store.dropAbove(this.follower.applied)
    else this.follower.forget()
  }

  start(): void {
    if (this.isUp) return
    this.isUp = true
    this.seen = this.cluster.metadata.current
    this.#campaign = newCampaign(this.cluster.plan.leaseMs)
    this.#begin()
  }

  // --- what it does by itself

  #tick(): void {
    this.#stepCampaign({ kind: 'tick', nowMs: this.nowMs })
    this.#step({ kind: 'tick', nowMs: this.nowMs })
    this.cluster.master.nodeHeard(this)
  }

  #poll(): void {
    this.cluster.metadata.read(this, (seen) => this.#saw(seen))
    const { role } = this
    if (this.isServing || (role.kind === 'candidate' && holdsLease(role.state))) this.cluster.metadata.keepAlive(this)
  }

  #saw(seen: Seen): void {
    this.saw(seen)
    this.#step({ kind: 'metaSeen', meta: seen.meta })
    const isHeld = seen.isLeaseHeld
    this.#stepCampaign({ kind: 'leaseSeen', isHeld, nowMs: this.nowMs, chance: this.world.random.fraction() })
    const { suggestion } = seen
    if (suggestion === null || suggestion.epoch !== this.seen.meta.epoch) return
    if (suggestion.leader === this.id) this.#stepCampaign({ kind: 'suggested', nowMs: this.nowMs })
    const open = openSegmentOf(this.seen.meta)
    const isWanted = suggestion.group !== null || suggestion.policy !== null || suggestion.seal
    if (isWanted && open !== null && this.#mayRoll)
      this.wish({
        kind: 'roll',
        group: this.#resolve(suggestion.group ?? open.group),
        policy: suggestion.policy ?? open.policy,
      })
  }

  /** Copying a sealed segment to others holds up nothing else. */
  get #mayRoll(): boolean {
    const { leader } = this
    return leader !== null && leader.swap === null && leader.wishes.every(({ kind }) => kind === 'regroup')
  }

  /** Old ones change nothing. */
  saw(recorded: Recorded): void {
    if (recorded.revision > this.seen.revision) this.seen = recorded
  }

  #stepCampaign(event: CampaignEvent): void {
    const { state, effects } = stepCampaign(this.#campaign, event)
    this.#campaign = state
    if (effects.length > 0) this.#run()
  }

  /** O1: whoever thinks that nobody leads may try. */
  campaign(): void {
    if (this.role.kind === 'follower') this.#stepCampaign({ kind: 'suggested', nowMs: this.nowMs })
  }

  #run(): void {
    const { seen } = this
    const attempt = ++this.#attempts
    this.#note(`campaigns for epoch ${seen.meta.epoch + 1}`)
    this.#become(beginRecovery(this.me, attempt, seen, this.#plan(), this.nowMs))
  }

  #plan(): RecoveryPlan {
    const open = openSegmentOf(this.seen.meta)
    const members: Members = new Map(this.#resolve(open?.group ?? []).map((member) => [member.id, member]))
    const group = this.cluster.chooseGroup(this.world.random.chance(0.7) ? (open?.group ?? []) : [], this.name)
    const spares = this.cluster.usable(this.name).filter(({ id }) => !members.has(id))
    return { members, group, policy: this.cluster.plan.policy, spares }
  }

  #resolve(group: readonly string[]): readonly Member[] {
    return group.flatMap((id) => this.cluster.truth.registry.get(id) ?? [])
  }

  // --- machines

  #step(event: LeaderEvent | RecoveryEvent): void {
    if (this.role.kind === 'candidate') this.#become(stepRecovery(this.role.state, event as RecoveryEvent))
    else if (this.role.kind === 'leader') {
      const { state, effects } = stepLeader(this.role.state, event as LeaderEvent)
      this.role = { kind: 'leader', state }
      for (const effect of effects) this.#carryOut(effect)
    }
  }

  #become({ state, effects }: RecoveryStep): void {
    this.role = { kind: 'candidate', state }
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: LeaderEffect | RecoveryEffect): void {
    switch (effect.do) {
      case 'send':
        return this.#toServer(effect.to, effect.request)
      case 'stream':
        return this.#stream(effect)
      case 'alarm':
        return this.cluster.alarm(this.name, effect.what)
      case 'swap':
        return this.cluster.metadata.swap(this, effect.expectedRevision, effect.meta, (result) =>
          this.#swapped(effect.nonce, result),
        )
      case 'fetch':
        return this.#fetcher.fetch(effect, (after, upTo, digest) =>
          this.#step({ kind: 'fetched', after, upTo, digest }),
        )
      case 'lead':
        return this.#lead(effect.leader)
      case 'lost':
        return this.#lost()
      case 'committed':
        return this.#committed(effect.lsn)
      case 'confirmed':
        return this.#confirmed(effect.reader, effect.lsn)
      case 'refusedReader':
        return this.#confirmed(effect.reader, null)
      case 'recorded':
        this.saw({ meta: effect.meta, revision: (this.leader as LeaderState).revision })
        return this.#note(`recorded ${effect.wish.kind}`)
      case 'refusedWish':
        return
      case 'confirmGroup':
        return this.#confirmGroup(effect)
      case 'deposed':
        return this.#deposed(effect.promised)
    }
  }

  /** C2. Who was replaced meanwhile is not confirmed. */
  #confirmGroup({ segmentEpoch, group }: LeaderEffect & { readonly do: 'confirmGroup' }): void {
    const { registry } = this.cluster.truth
    this.after(confirmMs, () => {
      if (this.leader === null) return
      if (group.every(({ id, identity }) => registry.get(id)?.identity === identity))
        this.#step({ kind: 'groupConfirmed', segmentEpoch, isDeviceShared: this.cluster.plan.isDeviceShared })
      else this.wish({ kind: 'roll', group: this.cluster.chooseGroup([], this.name), policy: this.cluster.plan.policy })
    })
  }

  #toServer(to: Member, request: Parameters<Cluster['send']>[2]): void {
    const server = this.cluster.servers.get(to.id)
    if (server !== undefined) this.cluster.send(this, server, request)
  }

  #stream(effect: LeaderEffect & { readonly do: 'stream' }): void {
    const { to, next, id, epoch, segmentEpoch, after, upTo, committed } = effect
    const batches = this.store.take(after, upTo, streamBatchesMost)
    const last = batches.at(-1)
    const end = last === undefined ? after : lastLsnOf(last)
    if (end < upTo) {
      this.#step({ kind: 'cut', segmentEpoch, servers: [to, ...next].map((member) => member.id), upTo: end })
      // A leader that has not got it itself gets it as a follower does.
      if (last === undefined) this.follower.missing(lsn(after + 1))
    }
    if (last !== undefined)
      this.#toServer(to, { kind: 'append', id, stream, epoch, segmentEpoch, batches, committed, next })
  }

  #swapped(nonce: string, result: SwapResult | null): void {
    if (result === null) return this.#step({ kind: 'swapLost', nonce })
    if (result.kind === 'conflict') {
      this.saw(result.current)
      return this.#step({ ...result, nonce })
    }
    this.#step({ ...result, nonce })
  }

  answered(answer: ServerAnswer): void {
    if (answer.kind === 'batches') {
      this.#fetcher.answered(answer)
      this.follower.answered(answer)
    } else this.#step({ kind: 'answer', answer })
  }

  // --- leading

  #lead(leader: LeaderState): void {
    this.role = { kind: 'leader', state: leader }
    this.saw({ meta: leader.meta, revision: leader.revision })
    this.#fetcher.stop()
    // Who slept since may have been followed by others.
    if (this.cluster.metadata.current.meta.epoch === leader.meta.epoch)
      this.cluster.truth.leads(this.id, leader.last.lsn)
    this.#note(`leads epoch ${leader.meta.epoch} from ${leader.last.lsn}`)
    this.#stepCampaign({ kind: 'led' })
    this.cluster.metadata.keepAlive(this)
    this.#step({ kind: 'tick', nowMs: this.nowMs })
    // O7
    this.#append(1, `epoch ${leader.meta.epoch}`, () => {})
  }

  #lost(): void {
    this.role = { kind: 'follower' }
    this.#fetcher.stop()
    this.store.dropAbove(this.follower.applied)
    this.#stepCampaign({ kind: 'lost', nowMs: this.nowMs, chance: this.world.random.fraction() })
  }

  #deposed(promised: Epoch): void {
    this.#note(`is deposed by epoch ${promised}`)
    this.role = { kind: 'follower' }
    this.isServing = false
    this.#fail('indeterminate')
    for (const done of this.#readers.values()) done(null)
    this.#readers.clear()
    // R9: what is not known to be committed may differ from what the next leader finds.
    this.store.dropAbove(this.follower.applied)
    this.#stepCampaign({ kind: 'deposed' })
  }

  #fail(outcome: Outcome): void {
    const outstanding = this.#outstanding
    this.#outstanding = []
    for (const { done } of outstanding) done(outcome)
  }

  /** Of a client. */
  append(entries: number, text: string, done: (outcome: Outcome) => void): void {
    const { leader } = this
    if (leader === null || !this.isServing || isFull(leader, limits.uncommittedBatchesMax)) return done('notLeader')
    this.#append(entries, text, done)
  }

  #append(entries: number, text: string, done: (outcome: Outcome) => void): void {
    const { last } = this.leader as LeaderState
    const payload = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8))
    const batch = makeBatch(last.digest, lsn(last.lsn + 1), entries, payload)
    this.store.put(batch)
    this.#outstanding.push({ batch, segmentEpoch: () => (this.leader as LeaderState).open.segmentEpoch, done })
    const { payload: _, ...head } = batch
    this.#step({ kind: 'append', head })
    const { unawaited, isDeviceShared } = this.cluster.plan
    if (unawaited !== 0 && this.world.random.chance(unawaited)) return
    this.#step({ kind: 'flush' })
    if (isDeviceShared) this.after(limits.surplusWaitMs, () => this.#surplusDue())
  }

  #surplusDue(): void {
    if (this.leader !== null) this.#step({ kind: 'surplusDue' })
  }

  #committed(upTo: Lsn): void {
    this.isServing = true
    while (this.#outstanding[0] !== undefined && lastLsnOf(this.#outstanding[0].batch) <= upTo) {
      const { batch, segmentEpoch, done } = this.#outstanding.shift() as Outstanding
      this.cluster.truth.acknowledge(segmentEpoch(), batch)
      done('acknowledged')
    }
    if (this.follower.applied < upTo) this.follower.appliedByLeader(upTo)
  }

  wish(wish: Wish): void {
    if (this.leader !== null) this.#step({ kind: 'wish', wish })
  }

  /** A follower asks how far it must be for a linearizable read. */
  tail(done: (tail: Lsn | null) => void): void {
    if (this.leader === null || !this.isServing) return done(null)
    const reader = this.#nextReader++
    this.#readers.set(reader, done)
    this.#step({ kind: 'confirm', reader })
  }

  #confirmed(reader: number, tail: Lsn | null): void {
    const done = this.#readers.get(reader)
    this.#readers.delete(reader)
    done?.(tail)
  }

  #note(what: string): void {
    this.world.note(this.name, what)
  }
}
