import type { Scheduler } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { epoch, type Lsn, lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { type Digest, emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { stepLeader } from '../../../src/replication/leader.ts'
import { isFull, type LeaderEffect, type LeaderEvent, type LeaderState } from '../../../src/replication/leader-state.ts'
import type { Member, ServerAnswer } from '../../../src/replication/messages.ts'
import type { AppendedBatch, ReplicationLeader } from '../../../src/replication/replication-leader.ts'
import type { ReplicationPolicy } from '../../../src/replication/replication-policy.ts'
import { membersOf } from '../../../src/replication/segment-track.ts'
import { newStreamMeta } from '../../../src/replication/stream-meta.ts'

const segmentEpoch = epoch(1)
const me = { id: 'a', incarnation: 'a#1', address: 'a:7500' }
const policy: ReplicationPolicy = { replicas: 3, ackQuorum: 2, topology: 'fanout' }
const group: readonly Member[] = ['s1', 's2', 's3'].map((id) => ({ id, identity: `${id}-disk`, address: id }))
const tickMs = 50

/**
 * The lead of a stream by the machine that leads in production, over three journal servers that flush what they get in the
 * next turn. One that is asked under an epoch that is not the highest says so.
 */
export class MachineLeader implements ReplicationLeader {
  failed: CommanderError | null = null
  readonly #scheduler: Scheduler
  readonly #batches: ReplicatedBatch[] = []
  /** How far each server has flushed. */
  readonly #flushed: Map<string, Lsn>
  #promised = segmentEpoch
  #state: LeaderState
  #moved: () => void = () => {}
  #nowMs = 0

  /** @param tail where the stream ends: the segment begins behind it */
  constructor(tail: Lsn, scheduler: Scheduler) {
    this.#scheduler = scheduler
    this.#flushed = new Map(group.map(({ id }) => [id, tail]))
    this.#state = ledFrom(tail)
    this.#tick()
  }

  get committed(): Lsn {
    return this.#state.committed.lsn
  }

  get hasRoom(): boolean {
    return !isFull(this.#state, limits.uncommittedBatchesMax)
  }

  append({ firstLsn, entryCount, payload }: AppendedBatch): void {
    if (this.failed !== null) return
    const batch = makeBatch(this.#state.last.digest, firstLsn, entryCount, payload)
    this.#batches.push(batch)
    const { payload: _, ...head } = batch
    this.#step({ kind: 'append', head })
  }

  flush(): void {
    this.#step({ kind: 'flush' })
  }

  onMoved(moved: () => void): void {
    this.#moved = moved
  }

  /** Another node takes the next epoch: the servers promise it that. */
  depose(): void {
    this.#promised = epoch(this.#promised + 1)
  }

  #tick(): void {
    this.#step({ kind: 'tick', nowMs: this.#nowMs })
    this.#scheduler.after(tickMs, () => {
      this.#nowMs += tickMs
      if (this.failed === null) this.#tick()
    })
  }

  #step(event: LeaderEvent): void {
    const { state, effects } = stepLeader(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: LeaderEffect): void {
    switch (effect.do) {
      case 'send':
        if (effect.request.kind === 'openSegment') this.#answer(effect.to, effect.request.id)
        return
      case 'stream': {
        const sent = this.#batches.filter(({ firstLsn }) => firstLsn > effect.after && firstLsn <= effect.upTo)
        return this.#answer(effect.to, effect.id, sent)
      }
      case 'committed':
        this.#scheduler.soon(() => this.#moved())
        return
      case 'deposed':
        this.failed = new CommanderError('fenced', `a journal server has promised epoch ${effect.promised}`)
        this.#scheduler.soon(() => this.#moved())
        return
      case 'confirmGroup': {
        const { segmentEpoch: ofGroup } = effect
        this.#scheduler.soon(() => this.#step({ kind: 'groupConfirmed', segmentEpoch: ofGroup, isDeviceShared: false }))
        return
      }
      default:
        throw new Error(`the machine asks for ${effect.do}`)
    }
  }

  /** In the next turn, as from another process. */
  #answer({ id: server, identity }: Member, id: number, sent?: readonly ReplicatedBatch[]): void {
    this.#scheduler.soon(() => {
      if (this.failed !== null) return
      const from = { id, stream: 'journal', server, identity, epoch: segmentEpoch, segmentEpoch }
      this.#step({ kind: 'answer', answer: this.#answerOf(from, sent) })
    })
  }

  #answerOf(
    from: Pick<ServerAnswer, 'id' | 'stream' | 'server' | 'identity'> & {
      readonly epoch: typeof segmentEpoch
      readonly segmentEpoch: typeof segmentEpoch
    },
    sent?: readonly ReplicatedBatch[],
  ): ServerAnswer {
    if (this.#promised > segmentEpoch)
      return { ...from, kind: 'refused', refusal: { reason: 'fenced', promised: this.#promised } }
    const { server, identity } = from
    for (const batch of sent ?? []) {
      if (batch.firstLsn !== (this.#flushed.get(server) as number) + 1) continue
      this.#flushed.set(server, lastLsnOf(batch))
    }
    const flushed = this.#flushed.get(server) as Lsn
    if (sent !== undefined) return { ...from, kind: 'appended', acks: [{ server, identity, flushed }] }
    const { base, baseDigest } = this.#state.open
    return {
      ...from,
      kind: 'segmentState',
      segment: {
        ...{ segmentEpoch, base, baseDigest, flushed, flushedDigest: this.#digestAt(flushed), committed: noLsn },
        ...{ atLeast: false, damaged: [], finished: false },
      },
    }
  }

  #digestAt(at: Lsn): Digest {
    return this.#batches.find((batch) => lastLsnOf(batch) === at)?.digest ?? this.#state.open.baseDigest
  }
}

/** As recovery leaves it: the new segment is in the record, and nothing is in the segment. */
export function ledFrom(tail: Lsn): LeaderState {
  const base = lsn(tail + 1)
  const baseDigest = emptyDigest
  const end = { lsn: tail, digest: baseDigest }
  const segment = { epoch: segmentEpoch, base, baseDigest: baseDigest.toString('hex'), state: 'open', policy } as const
  const segments = [{ ...segment, group: group.map(({ id }) => id) }]
  return {
    ...{ stream: 'journal', me, attempt: 1, revision: 2, last: end, committed: end, wanted: tail, uncommitted: [] },
    meta: { ...newStreamMeta('journal'), epoch: segmentEpoch, leader: me, segments },
    open: { segmentEpoch, base, baseDigest, policy, end: null, members: membersOf(group, base) },
    ...{ isDeviceShared: false, isGroupConfirmed: false, groupAskedMs: Number.NEGATIVE_INFINITY },
    ...{ sealed: [], swap: null, wishes: [], confirmation: null, readers: [], isDeposed: false },
    ...{ nextId: 1, nonces: 0, nowMs: 0 },
  }
}
