import type { Environment } from '../kernel/environment.ts'
import { asCommanderError } from '../kernel/errors.ts'
import { type Epoch, noEpoch } from '../kernel/identifiers.ts'
import { type CampaignEvent, type CampaignState, newCampaign, stepCampaign } from './campaign.ts'
import { LeasedKey } from './leased-key.ts'
import { type MetadataStore, type MetadataValue, metadataKeys } from './metadata-store.ts'
import { RoleObservers } from './role-observers.ts'
import { isSameRole, noRole, type RoleState, roleOf } from './role-state.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'
import { decodeStreamMeta } from './stream-meta-codec.ts'
import { decodeSuggestion } from './suggestion.ts'

export interface StreamRecord {
  readonly meta: StreamMeta
  readonly revision: number
}

/** Carries out what a role decides: the shell of the recovery and of the leader. */
export interface RoleRunner {
  /** Take the next epoch after this record, repair, open, lead. Ends by `lost` of the role, or goes on until `deposed`. */
  campaign(stream: string, record: StreamRecord): void
  /** A watch saw it; it may be old. */
  recordSeen(stream: string, record: StreamRecord): void
  /** Gives up the lead, or the try: what was appended is committed first where that is possible. */
  resign(stream: string): Promise<void>
}

export interface StreamRolesOptions {
  readonly store: MetadataStore
  readonly environment: Environment
  readonly me: Peer
  readonly leaseMs: number
  readonly runner: RoleRunner
}

/** A lease is kept alive so many times in its time. */
const keepsPerLease = 4
const notKept = 'the lease of a stream was not kept; others may try to lead'
/** Who has not repaired the log after so many leases lets others try, who may reach more servers. */
const recoveryLeases = 10

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
  #campaignSinceMs = 0
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

  get state(): RoleState {
    return this.#role
  }

  /** From now on. Whoever leads is left alone while its lease says that it lives. */
  want(): void {
    if (this.#campaign !== null) return
    this.#campaign = newCampaign(this.#o.leaseMs)
    this.#seeLease()
  }

  /** @throws CommanderError `metadata_unavailable` */
  async resign(): Promise<void> {
    const isOn = this.#campaign?.isRunning === true || this.#role.role !== 'follower'
    this.#campaign = null
    this.#tries++
    try {
      if (isOn) await this.#o.runner.resign(this.stream)
    } finally {
      await this.#release()
    }
  }

  /** What the watch shows, or the runner's own swap has made. Older ones change nothing. */
  recordSeen(value: MetadataValue | null): void {
    if (value !== null && value.revision <= (this.#record?.revision ?? 0)) return
    try {
      this.#record = value === null ? null : { meta: decodeStreamMeta(value.value), revision: value.revision }
    } catch (error) {
      // Of a later version, or damaged: this node takes no part until it can read the next one.
      this.#note(error, 'the record of a stream cannot be read')
      return
    }
    this.#update()
    if (this.#record !== null) this.#o.runner.recordSeen(this.stream, this.#record)
  }

  leaseSeen(value: MetadataValue | null): void {
    this.#leaseHolder = value?.value ?? null
    this.#seeLease()
  }

  suggestionSeen(value: MetadataValue | null): void {
    const suggestion = value === null ? null : decodeSuggestion(value.value)
    const isFor = suggestion?.leader === this.#o.me.id && suggestion.epoch === this.#role.epoch
    if (isFor && this.#role.role === 'follower') this.#step({ kind: 'suggested', nowMs: this.#nowMs })
  }

  /** The runner has lost its try. `promised` is what it was refused for. */
  lost(promised: Epoch): void {
    this.#fence(promised)
    this.#step({ kind: 'lost', nowMs: this.#nowMs, chance: this.#chance() })
    this.#seeLease()
    this.#releaseSoon()
  }

  deposed(promised: Epoch): void {
    this.#fence(promised)
    this.#step({ kind: 'deposed' })
    this.#seeLease()
    this.#releaseSoon()
  }

  /** Several times in each lease. */
  tick(): void {
    const nowMs = this.#nowMs
    this.#step({ kind: 'tick', nowMs })
    if (!this.#isHolding(nowMs) || nowMs - this.#keptMs < this.#o.leaseMs / keepsPerLease) return
    if (this.#turns > 0) return
    this.#keptMs = nowMs
    this.#alone(() => this.#key.keep(this.#role.role === 'leader')).catch((error: unknown) =>
      this.#note(error, notKept),
    )
  }

  async close(): Promise<void> {
    this.#campaign = null
    this.#tries++
    this.observers.close()
    await this.#release()
  }

  #isHolding(nowMs: number): boolean {
    if (this.#campaign?.isRunning !== true) return false
    if (this.#role.role === 'leader') return true
    return this.#key.isTaken && nowMs - this.#campaignSinceMs < recoveryLeases * this.#o.leaseMs
  }

  #step(event: CampaignEvent): void {
    if (this.#campaign === null) return
    const { state, effects } = stepCampaign(this.#campaign, event)
    this.#campaign = state
    if (effects.length > 0) this.#begin(event.kind === 'suggested')
  }

  #seeLease(): void {
    const isHeld = this.#leaseHolder !== null && this.#leaseHolder !== this.#value
    this.#step({ kind: 'leaseSeen', isHeld, nowMs: this.#nowMs, chance: this.#chance() })
  }

  /** @param isWanted - by the master, who does not wait for the lease of a leader that it does not hear */
  #begin(isWanted: boolean): void {
    this.#campaignSinceMs = this.#nowMs
    this.#keptMs = this.#nowMs
    const mine = ++this.#tries
    this.#alone(async () => {
      const isTaken = await this.#key.keep(isWanted)
      const found = isTaken ? await this.#o.store.get(metadataKeys.stream(this.stream)) : null
      if (found !== null) this.recordSeen(found)
      if (mine !== this.#tries) await this.#key.release()
      else if (found === null) this.lost(noEpoch)
      else this.#o.runner.campaign(this.stream, { meta: decodeStreamMeta(found.value), revision: found.revision })
    }).catch((error: unknown) => {
      this.#note(error, 'could not try to lead')
      this.lost(noEpoch)
    })
  }

  #fence(promised: Epoch): void {
    if (promised > this.#fenced) this.#fenced = promised
    this.#update()
  }

  #update(): void {
    const role = roleOf(this.#record?.meta ?? null, this.#o.me, this.#fenced)
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
