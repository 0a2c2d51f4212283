import type { Environment, Timer } from '../kernel/environment.ts'
import { lsn, noLsn } from '../kernel/identifiers.ts'
import { copyOf, isIntact, lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { LeaderState } from './leader-state.ts'
import type { Member, ServerAnswer } from './messages.ts'
import type { MetadataStore } from './metadata-store.ts'
import { swapRecord } from './record-swap.ts'
import { beginRecovery, stepRecovery } from './recovery.ts'
import type { RecoveryEffect, RecoveryEvent, RecoveryPlan, RecoveryState, RecoveryStep } from './recovery-state.ts'
import type { ReplicationEffect } from './segment-track.ts'
import type { ServerLinks } from './server-links.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'

export interface CandidateOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly servers: ServerLinks
  readonly me: Peer
  /** Of this incarnation: 1, 2, 3… */
  readonly attempt: number
  readonly record: { readonly meta: StreamMeta; readonly revision: number }
  readonly plan: RecoveryPlan
  /** For reads: an answer is known by it. */
  readonly nextReadId: () => number
  /** This node leads: the stream ends where the state says. */
  readonly elected: (leader: LeaderState) => void
  /** Another node does, or will. */
  readonly lost: (promised: number, leader: Peer | null) => void
}

const tickMs = 50
const bytesPerRead = 1_048_576

type FetchEffect = Extract<RecoveryEffect, { readonly do: 'fetch' }>
type StreamEffect = Extract<ReplicationEffect, { readonly do: 'stream' }>

/** The bytes between what is known to be committed and where the segment is to end: no more than one segment. */
interface Fetched {
  readonly wanted: FetchEffect
  readonly batches: ReplicatedBatch[]
  /** Of the read that is under way. */
  requestId: number
  source: Member
}

/** Carries out what the machine of a candidate wants: seals, repairs with the original bytes, and the swaps of the record. */
export class CandidateShell {
  readonly #o: CandidateOptions
  #state: RecoveryState
  #timer: Timer | null = null
  #isOver = false
  #fetched: Fetched | null = null
  #fetches = 0

  constructor(options: CandidateOptions) {
    this.#o = options
    const { me, record, plan, environment } = options
    const begun = beginRecovery(me, options.attempt, record, plan, environment.clock.monotonicMs())
    this.#state = begun.state
    environment.scheduler.soon(() => {
      this.#carryOut(begun)
      this.#tick()
    })
  }

  get phase(): RecoveryState['phase'] {
    return this.#state.phase
  }

  answered(answer: ServerAnswer): void {
    if (answer.kind === 'batches' && answer.id === this.#fetched?.requestId) this.#take(answer.batches)
    else this.#step({ kind: 'answer', answer })
  }

  metaSeen(meta: StreamMeta): void {
    this.#step({ kind: 'metaSeen', meta })
  }

  stop(): void {
    this.#isOver = true
    this.#timer?.cancel()
  }

  #tick(): void {
    if (this.#isOver) return
    const { clock, scheduler } = this.#o.environment
    this.#timer = scheduler.after(tickMs, () => this.#tick())
    this.#step({ kind: 'tick', nowMs: clock.monotonicMs() })
  }

  #step(event: RecoveryEvent): void {
    if (!this.#isOver) this.#carryOut(stepRecovery(this.#state, event))
  }

  #carryOut({ state, effects }: RecoveryStep): void {
    this.#state = state
    for (const effect of effects) if (!this.#isOver) this.#do(effect)
  }

  #do(effect: RecoveryEffect): void {
    const { metadata, environment, servers, elected, lost } = this.#o
    switch (effect.do) {
      case 'send':
        servers.send(effect.to.id, effect.request)
        return
      case 'stream':
        this.#stream(effect)
        return
      case 'fetch':
        this.#fetch(effect)
        return
      case 'swap':
        void swapRecord(metadata, effect, environment.log).then((event) => this.#step(event))
        return
      case 'alarm':
        environment.log.error({ stream: this.#state.meta.stream }, effect.what)
        return
      case 'lead':
        this.stop()
        elected(effect.leader)
        return
      case 'lost':
        this.stop()
        lost(effect.promised, effect.leader)
        return
    }
  }

  /** From another source than the last time, for that one may be gone. */
  #fetch(wanted: FetchEffect): void {
    const whole = wanted.sources.filter(({ state }) => state.flushed >= wanted.upTo && state.damaged.length === 0)
    const sources = whole.length > 0 ? whole : wanted.sources
    const source = sources[this.#fetches++ % sources.length]
    if (source === undefined) return
    this.#fetched = { wanted, batches: [], requestId: 0, source: source.member }
    this.#read(this.#fetched)
  }

  #read(fetched: Fetched): void {
    const { wanted, source, batches } = fetched
    const last = batches.at(-1)
    fetched.requestId = this.#o.nextReadId()
    this.#o.servers.send(source.id, {
      kind: 'read',
      id: fetched.requestId,
      stream: this.#state.meta.stream,
      epoch: wanted.epoch,
      segmentEpoch: wanted.segmentEpoch,
      from: lsn((last === undefined ? wanted.after : lastLsnOf(last)) + 1),
      until: wanted.upTo,
      bytesMax: bytesPerRead,
      committed: noLsn,
      purpose: 'repair',
    })
  }

  #take(batches: readonly ReplicatedBatch[]): void {
    const fetched = this.#fetched as Fetched
    const { wanted } = fetched
    for (const batch of batches) {
      const last = fetched.batches.at(-1)
      const after = last === undefined ? wanted.after : lastLsnOf(last)
      if (lastLsnOf(batch) <= after) continue
      const follows = last === undefined || batch.prevDigest.equals(last.digest)
      if (batch.firstLsn > after + 1 || !follows || !isIntact(batch)) return
      fetched.batches.push(copyOf(batch))
    }
    const last = fetched.batches.at(-1)
    if (last === undefined || batches.length === 0) return
    if (lastLsnOf(last) < wanted.upTo) this.#read(fetched)
    else this.#step({ kind: 'fetched', after: wanted.after, upTo: wanted.upTo, digest: last.digest })
  }

  /** What a server does not take for now is asked for again by the machine. */
  #stream(effect: StreamEffect): void {
    const { to, next, id, epoch, segmentEpoch, after, upTo, committed } = effect
    const all = this.#fetched?.batches ?? []
    const stream = this.#state.meta.stream
    let batches: ReplicatedBatch[] = []
    let bytes = 0
    const send = (): void => {
      if (batches.length > 0)
        this.#o.servers.send(to.id, { kind: 'append', id, stream, epoch, segmentEpoch, batches, committed, next })
      batches = []
      bytes = 0
    }
    for (const batch of all) {
      if (lastLsnOf(batch) <= after || lastLsnOf(batch) > upTo) continue
      batches.push(batch)
      bytes += batch.payload.length
      if (bytes >= bytesPerRead) send()
    }
    send()
  }
}
