import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { type Digest, makeBatch } from './batch.ts'
import type { BatchWindow } from './batch-window.ts'
import { stepLeader } from './leader.ts'
import { LeaderRefill } from './leader-refill.ts'
import type { LeaderEffect, LeaderEvent, LeaderState, Wish } from './leader-state.ts'
import type { Member, ServerAnswer, ServerId } from './messages.ts'
import type { MetadataStore } from './metadata-store.ts'
import { swapRecord } from './record-swap.ts'
import type { AppendedBatch, ReplicationLeader } from './replication-leader.ts'
import type { ReplicationEffect } from './segment-track.ts'
import type { ServerLinks } from './server-links.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'

export interface LeaderShellOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly servers: ServerLinks
  readonly window: BatchWindow
  /** For reads: an answer is known by it. */
  readonly nextReadId: () => number
  /** As the election left it. */
  readonly state: LeaderState
  /** C2. @throws CommanderError `unknown_identity`: the group cannot be relied on; anything else: it is asked again */
  readonly confirmGroup: (group: readonly Member[]) => Promise<{ readonly isDeviceShared: boolean }>
  /** Another group is to be wished for. */
  readonly groupRefused: () => Promise<void>
  /** The record changed by a wish of ours. */
  readonly recorded?: (wish: Wish, meta: StreamMeta, revision: number) => void
  readonly refusedWish?: (wish: Wish, what: string) => void
  /** The lead is over. */
  readonly ended?: (error: CommanderError) => void
}

const tickMs = 50
/** To one server at once, before another one gets its turn. */
const streamBytes = 1_048_576

type StreamEffect = Extract<ReplicationEffect, { readonly do: 'stream' }>

/**
 * Carries out what the machine of the leader wants: requests to journal servers, with the bytes; swaps of the record; time.
 *
 * - L1: one event at a time; what comes while effects are carried out waits for its turn.
 * - L2: what a server does not take for now stays here as one range, and goes on where it stopped, so that a slow server costs no
 *   memory and holds up nobody.
 */
export class LeaderShell implements ReplicationLeader {
  readonly #o: LeaderShellOptions
  #state: LeaderState
  #events: LeaderEvent[] = []
  #isStepping = false
  readonly #unsent = new Map<ServerId, StreamEffect>()
  /** What servers said last of their logs: from there batches can be made again out of the local segments. */
  readonly #ends = new Map<ServerId, { readonly lsn: Lsn; readonly digest: Digest }>()
  readonly #readers = new Map<number, { resolve(lsn: Lsn): void; reject(error: CommanderError): void }>()
  #nextReader = 1
  #timer: Timer | null = null
  #surplusTimer: Timer | null = null
  #moved: () => void = () => {}
  #segmentBytes = 0
  #isTelling = false
  #isConfirmingGroup = false
  readonly #refill: LeaderRefill
  failed: CommanderError | null = null

  constructor(options: LeaderShellOptions) {
    this.#o = options
    this.#state = options.state
    this.#refill = new LeaderRefill({
      servers: options.servers,
      nextReadId: options.nextReadId,
      state: () => this.#state,
    })
    this.#tick()
  }

  get committed(): Lsn {
    return this.#state.committed.lsn
  }

  get meta(): StreamMeta {
    return this.#state.meta
  }

  get epoch(): Epoch {
    return this.#state.meta.epoch
  }

  /** Of the next entry that is appended. */
  get nextLsn(): Lsn {
    return lsn(this.#state.last.lsn + 1)
  }

  get state(): LeaderState {
    return this.#state
  }

  /** Another batch may be appended. */
  get hasRoom(): boolean {
    return this.failed === null && this.#state.uncommitted.length < limits.uncommittedBatchesMax
  }

  /** A change of the record is wished for, or under way. Copying a sealed segment to others holds up nothing else. */
  get isChangingRecord(): boolean {
    return this.#state.swap !== null || this.#state.wishes.some(({ kind }) => kind !== 'regroup')
  }

  /** Bytes of payloads that were appended since the open segment began. */
  get segmentBytes(): number {
    return this.#segmentBytes
  }

  onMoved(moved: () => void): void {
    this.#moved = moved
  }

  append({ firstLsn, entryCount, payload }: AppendedBatch): void {
    if (this.failed !== null) return
    const batch = makeBatch(this.#state.last.digest, firstLsn, entryCount, payload)
    this.#o.window.add(batch)
    this.#segmentBytes += payload.length
    this.#step({ kind: 'append', head: batch })
  }

  flush(): void {
    this.#step({ kind: 'flush' })
    // Somebody waits: not by the next turn of the event loop.
    this.#o.servers.flush()
    this.#letSurplusWait()
  }

  wish(wish: Wish): void {
    this.#step({ kind: 'wish', wish })
  }

  /** Everything acknowledged before the call is at or below the LSN that it resolves with. @throws CommanderError `not_leader` */
  confirm(): Promise<Lsn> {
    if (this.failed !== null) return Promise.reject(this.failed)
    const reader = this.#nextReader++
    return new Promise((resolve, reject) => {
      this.#readers.set(reader, { resolve, reject })
      this.#step({ kind: 'confirm', reader })
    })
  }

  /** Before the lead is given up: who reads from servers is to see all that is committed, though nobody leads for a while. */
  tellCommitted(): void {
    const { stream, meta, open, committed } = this.#state
    const { segmentEpoch, members } = open
    const content = {
      kind: 'commit',
      id: 0,
      stream,
      epoch: meta.epoch,
      segmentEpoch,
      committed: committed.lsn,
    } as const
    for (const { member } of members.values()) this.#o.servers.send(member.id, content)
  }

  metaSeen(meta: StreamMeta): void {
    this.#step({ kind: 'metaSeen', meta })
  }

  answered(answer: ServerAnswer): void {
    if (answer.kind === 'batches') return this.#refill.answered(answer)
    if (answer.kind === 'segmentState') {
      const { flushed, flushedDigest } = answer.segment
      if (flushedDigest !== null) this.#ends.set(answer.server, { lsn: flushed, digest: flushedDigest })
    }
    this.#step({ kind: 'answer', answer })
  }

  connected(server: ServerId): void {
    this.#unsent.delete(server)
    this.#step({ kind: 'connected', server })
  }

  /** The server takes bytes again. */
  writable(server: ServerId): void {
    const left = this.#unsent.get(server)
    if (left === undefined || this.failed !== null) return
    this.#unsent.delete(server)
    this.#stream(left)
  }

  /** Neither timers nor requests any more; what is not committed stays as it is. */
  stop(error: CommanderError): void {
    this.#cancelTimers()
    this.#unsent.clear()
    this.#fail(error)
  }

  #tick(): void {
    this.#step({ kind: 'tick', nowMs: this.#o.environment.clock.monotonicMs() })
    if (this.failed === null) this.#timer = this.#o.environment.scheduler.after(tickMs, () => this.#tick())
  }

  #cancelTimers(): void {
    this.#timer?.cancel()
    this.#surplusTimer?.cancel()
  }

  /** One timer for whatever is wanted meanwhile. */
  #letSurplusWait(): void {
    if (!this.#state.isDeviceShared || this.#surplusTimer !== null || this.failed !== null) return
    this.#surplusTimer = this.#o.environment.scheduler.after(limits.surplusWaitMs, () => {
      this.#surplusTimer = null
      this.#step({ kind: 'surplusDue' })
    })
  }

  /** L1. */
  #step(event: LeaderEvent): void {
    if (this.failed !== null) return
    this.#events.push(event)
    if (this.#isStepping) return
    this.#isStepping = true
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const { state, effects } = stepLeader(this.#state, next)
        this.#state = state
        for (const effect of effects) this.#carryOut(effect)
      }
    } finally {
      this.#isStepping = false
    }
  }

  #carryOut(effect: LeaderEffect): void {
    switch (effect.do) {
      case 'send':
        this.#o.servers.send(effect.to.id, effect.request)
        return
      case 'stream':
        this.#streamAfterOthers(effect)
        return
      case 'swap':
        void swapRecord(this.#o.metadata, effect, this.#o.environment.log).then((event) => this.#step(event))
        return
      case 'committed':
        this.#tellMoved()
        return
      case 'confirmed':
        this.#readers.get(effect.reader)?.resolve(effect.lsn)
        this.#readers.delete(effect.reader)
        return
      case 'refusedReader':
        this.#readers.get(effect.reader)?.reject(tooManyReaders())
        this.#readers.delete(effect.reader)
        return
      case 'confirmGroup':
        void this.#confirmGroup(effect)
        return
      case 'recorded':
        if (effect.wish.kind === 'roll') this.#segmentBytes = 0
        this.#o.recorded?.(effect.wish, effect.meta, this.#state.revision)
        return
      case 'refusedWish':
        this.#o.refusedWish?.(effect.wish, effect.what)
        return
      case 'alarm':
        this.#o.environment.log.error({ stream: this.#state.stream }, effect.what)
        return
      case 'deposed':
        this.#cancelTimers()
        this.#fail(deposedBy(this.#state, effect.promised, effect.leader))
        return
    }
  }

  /** What the server has not taken yet comes first. */
  #streamAfterOthers(effect: StreamEffect): void {
    const before = this.#unsent.get(effect.to.id)
    const isNext = before !== undefined && before.segmentEpoch === effect.segmentEpoch && before.upTo === effect.after
    this.#unsent.delete(effect.to.id)
    this.#stream(isNext ? { ...effect, after: before.after } : effect)
  }

  /** L2. */
  #stream(effect: StreamEffect): void {
    const { servers, window } = this.#o
    const { to, next, id, epoch, segmentEpoch, upTo, committed } = effect
    let after = effect.after
    while (after < upTo && servers.isWritable(to.id)) {
      const known = this.#ends.get(to.id)
      const batches = window.behind(after, known?.lsn === after ? known.digest : null, upTo, streamBytes)
      const last = batches.at(-1)
      // Asked for again by the machine, from where the server stands.
      if (last === undefined) return this.#refill.fetch(effect, after)
      const { stream } = this.#state
      servers.send(to.id, { kind: 'append', id, stream, epoch, segmentEpoch, batches, committed, next })
      after = (last.firstLsn + last.entryCount - 1) as Lsn
    }
    if (after < upTo) this.#unsent.set(to.id, { ...effect, after })
  }

  /** C2: one question at a time; the machine asks again. */
  async #confirmGroup({ segmentEpoch, group }: LeaderEffect & { readonly do: 'confirmGroup' }): Promise<void> {
    if (this.#isConfirmingGroup) return
    this.#isConfirmingGroup = true
    try {
      const { isDeviceShared } = await this.#o.confirmGroup(group)
      this.#step({ kind: 'groupConfirmed', segmentEpoch, isDeviceShared })
    } catch (error) {
      if (!isCommanderError(error)) throw error
      const { stream } = this.#state
      this.#o.environment.log.warn({ stream, segmentEpoch, error: error.message }, 'the group is not confirmed')
      if (error.code === 'unknown_identity' && this.failed === null) await this.#o.groupRefused()
    } finally {
      this.#isConfirmingGroup = false
    }
  }

  #fail(error: CommanderError): void {
    if (this.failed !== null) return
    this.failed = error
    for (const reader of this.#readers.values()) reader.reject(error)
    this.#readers.clear()
    this.#tellMoved()
    this.#o.ended?.(error)
  }

  /** Never from within a call of the journal's. */
  #tellMoved(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    this.#o.environment.scheduler.soon(() => {
      this.#isTelling = false
      this.#moved()
    })
  }
}

const tooManyReaders = (): CommanderError =>
  new CommanderError(
    'overloaded',
    `${limits.confirmationsMax} linearizable reads wait for the journal servers already; try again later`,
  )

function deposedBy({ stream, last, committed }: LeaderState, promised: number, leader: Peer | null): CommanderError {
  const who = leader === null ? 'another node' : `node ${leader.id} at ${leader.address}`
  const rest = last.lsn > committed.lsn ? `; the entries ${committed.lsn + 1} to ${last.lsn} are there or not` : ''
  return new CommanderError('fenced', `${who} leads ${stream} under epoch ${promised}${rest}`, {
    details: { promised, leader, committed: committed.lsn },
  })
}
