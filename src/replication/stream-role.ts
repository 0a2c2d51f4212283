import { asCommanderError } from '../kernel/errors.ts'
import { type Epoch, noEpoch } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { type CampaignEvent, type CampaignState, newCampaign, stepCampaign } from './campaign.ts'
import { LeasedKey } from './leased-key.ts'
import type { Suggestion } from './master-state.ts'
import { type MetadataValue, metadataKeys } from './metadata-store.ts'
import { RoleObservers } from './role-observers.ts'
import type { StreamRecord, StreamRolesOptions } from './role-runner.ts'
import { isSameRole, noRole, type RoleState, roleOf } from './role-state.ts'
import { foundOrCreated } from './stream-creation.ts'
import { decodeStreamMeta } from './stream-meta-codec.ts'
import { decodeSuggestion } from './suggestion.ts'

export type { RoleRunner, StreamRecord, StreamRolesOptions } from './role-runner.ts'

/** A lease is kept alive so many times in its time. */
const keepsPerLease = 4
const notKept = 'the lease of a stream was not kept; others may try to lead'

/**
 * What this node is to one stream, and wants to be. The record decides (I1); the lease says whether it is worth trying (O1).
 *
 * The lease is taken before the next epoch is: so candidates seldom meet at the record, and whoever is about to lead is left alone.
 */
export class StreamRole {
  readonly stream: string
  readonly observers: RoleObservers = new RoleObservers()
  readonly #o: StreamRolesOptions
  readonly #key: LeasedKey
  #record: StreamRecord | null = null
  #fenced: Epoch = noEpoch
  #role: RoleState = noRole
  /** null while this node does not want to lead. */
  #campaign: CampaignState | null = null
  /** The holder's value, as the watch shows it; null: nobody. */
  #leaseHolder: string | null = null
  #suggestion: Suggestion | null = null
  /** The try that it was followed by was lost once: to the former leader that gave way, as a rule. */
  #hasTriedAgain = false
  #isYielding = false
  #campaignSinceMs = 0
  #isMaybeGone = false
  /** Counts tries, so that one that was given up while it took the lease goes no further. */
  #tries = 0
  #keptMs = Number.NEGATIVE_INFINITY
  readonly #value: string
  /** Calls of the key, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #turns = 0

  constructor(options: StreamRolesOptions, stream: string) {
    this.#o = options
    this.stream = stream
    const { store, environment, me, leaseMs } = options
    const value = JSON.stringify({ id: me.id, incarnation: me.incarnation })
    const { clock } = environment
    this.#value = value
    this.#key = new LeasedKey({ store, clock, key: metadataKeys.lease(stream), value: () => value, ttlMs: leaseMs })
  }

  get record(): StreamRecord | null {
    return this.#record
  }

  get state(): RoleState {
    return this.#role
  }

  /** From now on. Whoever leads is left alone while its lease says that it lives. */
  want(): void {
    if (this.#campaign !== null) return
    this.#campaign = newCampaign(this.#o.leaseMs)
    this.#seeLease()
  }

  /** Never again. What it leads by now it goes on leading, without a lease. */
  unwant(): void {
    this.#campaign = null
    this.#tries++
  }

  /** @throws CommanderError `metadata_unavailable` */
  async resign(): Promise<void> {
    const isOn = this.#campaign?.isRunning === true || this.#role.role !== 'follower'
    this.unwant()
    try {
      if (isOn) await this.#o.runner.resign(this.stream)
    } finally {
      await this.#release()
    }
  }

  /** What the watch shows, or the runner's own swap has made. Older ones change nothing. */
  recordSeen(value: MetadataValue | null): void {
    const known = this.#record?.revision ?? 0
    if (value !== null && value.revision < known) return
    if (value !== null && value.revision === known) {
      this.#update()
      return
    }
    try {
      this.#record = value === null ? null : { meta: decodeStreamMeta(value.value), revision: value.revision }
    } catch (error) {
      // Of a later version, or damaged: this node takes no part until it can read the next one.
      this.#note(error, 'the record of a stream cannot be read')
      return
    }
    this.#update()
    this.#o.runner.recordSeen(this.stream, this.#record)
    if (value === null && known > 0 && this.#o.createsStreams !== true) this.#forget()
    this.#followSuggestion()
  }

  /** By the watch, which may be late: there may be one of this name again. */
  goneSeen(): void {
    this.#isMaybeGone = true
    this.#lookWhetherGone()
  }

  /** The watch has shown all streams: unless it was seen, there is none. */
  allSeen(): void {
    if (this.#record === null) this.#o.runner.recordSeen(this.stream, null)
  }

  leaseSeen(value: MetadataValue | null): void {
    this.#leaseHolder = value?.value ?? null
    this.#seeLease()
  }

  suggestionSeen(value: MetadataValue | null): void {
    this.#suggestion = value === null ? null : decodeSuggestion(value.value)
    this.#hasTriedAgain = false
    this.#followSuggestion()
  }

  /** The runner has lost its try. `promised` is what it was refused for. */
  lost(promised: Epoch): void {
    this.#fence(promised)
    this.#step({ kind: 'lost', nowMs: this.#nowMs, chance: this.#chance() })
    this.#seeLease()
    this.#releaseSoon()
    if (this.#hasTriedAgain) return
    this.#hasTriedAgain = true
    this.#followSuggestion()
  }

  deposed(promised: Epoch): void {
    this.#fence(promised)
    this.#step(this.#isYielding ? { kind: 'yielded', nowMs: this.#nowMs } : { kind: 'deposed' })
    this.#seeLease()
    this.#releaseSoon()
  }

  /** Several times in each lease. */
  tick(): void {
    const nowMs = this.#nowMs
    this.#step({ kind: 'tick', nowMs })
    this.#lookWhetherGone()
    if (this.#role.role === 'leader') this.#followSuggestion()
    if (!this.#isHolding(nowMs) || nowMs - this.#keptMs < this.#o.leaseMs / keepsPerLease) return
    if (this.#turns > 0) return
    this.#keptMs = nowMs
    this.#alone(() => this.#key.keep(this.#role.role === 'leader')).catch((error: unknown) =>
      this.#note(error, notKept),
    )
  }

  async close(): Promise<void> {
    this.unwant()
    this.observers.close()
    await this.#release()
  }

  #isHolding(nowMs: number): boolean {
    if (this.#campaign?.isRunning !== true) return false
    if (this.#role.role === 'leader') return true
    return this.#key.isTaken && nowMs - this.#campaignSinceMs < limits.recoveryPatienceMs
  }

  #step(event: CampaignEvent): void {
    if (this.#campaign === null) return
    const { state, effects } = stepCampaign(this.#campaign, event)
    this.#campaign = state
    if (effects.length > 0) this.#begin(event.kind === 'suggested')
  }

  #seeLease(): void {
    const isHeld = this.#leaseHolder !== null && this.#leaseHolder !== this.#value
    const isAfter = this.#isForMe === false
    this.#step({ kind: 'leaseSeen', isHeld, nowMs: this.#nowMs, chance: this.#chance(), isAfter })
  }

  /** @param isWanted - by the master, who does not wait for the lease of a leader that it does not hear */
  #begin(isWanted: boolean): void {
    this.#campaignSinceMs = this.#nowMs
    this.#keptMs = this.#nowMs
    const mine = ++this.#tries
    this.#alone(async () => {
      // A suggestion may be older than the record: then the leader is left alone, and its lease too.
      const isStale = isWanted && !(await this.#isStillWanted())
      const isTaken = !isStale && (await this.#key.keep(isWanted))
      const found = isTaken ? await this.#find() : null
      if (found !== null) this.recordSeen(found)
      if (mine !== this.#tries) await this.#key.release()
      else if (found === null) this.lost(noEpoch)
      else this.#o.runner.campaign(this.stream, { meta: decodeStreamMeta(found.value), revision: found.revision })
    }).catch((error: unknown) => {
      this.#note(error, 'could not try to lead')
      this.lost(noEpoch)
    })
  }

  /** One of the same name is another stream: whoever wants to lead that says so again. */
  #forget(): void {
    this.unwant()
    this.#releaseSoon()
  }

  #lookWhetherGone(): void {
    if (!this.#isMaybeGone) return
    this.#isMaybeGone = false
    this.#o.store.get(metadataKeys.stream(this.stream)).then(
      (found) => this.recordSeen(found),
      (error: unknown) => {
        this.#isMaybeGone = true
        this.#note(error, 'the stream may have been deleted; looking again')
      },
    )
  }

  async #isStillWanted(): Promise<boolean> {
    const found = await this.#find()
    if (found !== null) this.recordSeen(found)
    return this.#isForMe === true
  }

  /** @throws CommanderError `metadata_unavailable` */
  #find(): Promise<MetadataValue | null> {
    const { store, environment, createsStreams = false } = this.#o
    return createsStreams
      ? foundOrCreated(store, environment, this.stream)
      : store.get(metadataKeys.stream(this.stream))
  }

  /** Whether this node is suggested as the next leader; null: nobody is. */
  get #isForMe(): boolean | null {
    const suggestion = this.#suggestion
    if (suggestion === null || suggestion.leader === null || suggestion.epoch !== this.#role.epoch) return null
    return suggestion.leader === this.#o.me.id
  }

  /** This node is to lead; or, if it does, another one, or on other servers. */
  #followSuggestion(): void {
    const { role, epoch } = this.#role
    if (this.#suggestion?.epoch !== epoch) return
    if (role === 'follower' && this.#isForMe === true) this.#step({ kind: 'suggested', nowMs: this.#nowMs })
    if (role !== 'leader') return
    if (this.#isForMe === false) this.#yield()
    else if (this.#suggestion.group !== null) this.#o.runner.regroup(this.stream, this.#suggestion.group)
  }

  /** It goes on wanting to lead, after the one that is suggested. */
  #yield(): void {
    if (this.#isYielding) return
    this.#isYielding = true
    this.#o.runner
      .resign(this.stream)
      .catch((error: unknown) => this.#note(error, 'could not give up the lead to the node that is suggested'))
      .finally(() => {
        this.#isYielding = false
      })
  }

  #fence(promised: Epoch): void {
    if (promised > this.#fenced) this.#fenced = promised
    this.#update()
  }

  #update(): void {
    const { me, runner } = this.#o
    const recorded = roleOf(this.#record?.meta ?? null, me, this.#fenced)
    const isAhead = recorded.role === 'leader' && !runner.leads(this.stream)
    const role: RoleState = isAhead ? { ...recorded, role: 'recovering' } : recorded
    const before = this.#role
    if (isSameRole(before, role)) return
    this.#role = role
    if (before.role !== 'leader' && role.role === 'leader') this.#step({ kind: 'led' })
    this.observers.tell(role)
  }

  #release(): Promise<void> {
    return this.#alone(() => this.#key.release())
  }

  #releaseSoon(): void {
    this.#release().catch((error: unknown) => this.#note(error, notKept))
  }

  /** One call of the key at a time. */
  #alone(run: () => Promise<unknown>): Promise<void> {
    this.#turns++
    const turn = this.#turn.then(async () => {
      await run()
    })
    this.#turn = turn
      .catch(() => {})
      .finally(() => {
        this.#turns--
      })
    return turn
  }

  #note(error: unknown, what: string): void {
    const { code, message } = asCommanderError(error)
    this.#o.environment.log.warn({ stream: this.stream, code, error: message }, what)
  }

  get #nowMs(): number {
    return this.#o.environment.clock.monotonicMs()
  }

  #chance(): number {
    return this.#o.environment.random.uint32() / 2 ** 32
  }
}
