import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import { copyOf, isIntact, lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { LeaderState } from './leader-state.ts'
import type { BatchesAnswer, ServerId } from './messages.ts'
import type { ReplicationEffect, Track } from './segment-track.ts'
import type { ServerLinks } from './server-links.ts'

export interface LeaderRefillOptions {
  readonly servers: ServerLinks
  /** For reads: an answer is known by it. */
  readonly nextReadId: () => number
  readonly state: () => LeaderState
}

type StreamEffect = Extract<ReplicationEffect, { readonly do: 'stream' }>

interface Refill {
  readonly effect: StreamEffect
  readonly after: Lsn
}

const bytesPerRead = 1_048_576

/**
 * What the leader does not hold any more a server that lacks it gets from another one of its group, by way of the leader: one
 * read at a time for each, as often as the machine asks for it.
 */
export class LeaderRefill {
  readonly #o: LeaderRefillOptions
  readonly #reads = new Map<number, Refill>()
  /** The read that is under way for a server. */
  readonly #newest = new Map<ServerId, number>()
  #turn = 0

  constructor(options: LeaderRefillOptions) {
    this.#o = options
  }

  fetch(effect: StreamEffect, after: Lsn): void {
    const { stream, meta, open, sealed } = this.#o.state()
    const track = [open, ...sealed].find(({ segmentEpoch }) => segmentEpoch === effect.segmentEpoch)
    const source = track === undefined ? undefined : this.#sourceIn(track, effect.to.id, after)
    if (source === undefined) return
    this.#reads.delete(this.#newest.get(effect.to.id) ?? 0)
    const id = this.#o.nextReadId()
    this.#newest.set(effect.to.id, id)
    this.#reads.set(id, { effect, after })
    this.#o.servers.send(source, {
      kind: 'read',
      id,
      stream,
      epoch: meta.epoch,
      segmentEpoch: effect.segmentEpoch,
      from: lsn(after + 1),
      until: effect.upTo,
      bytesMax: bytesPerRead,
      committed: noLsn,
      purpose: 'repair',
    })
  }

  answered({ id, batches }: BatchesAnswer): void {
    const refill = this.#reads.get(id)
    if (refill === undefined) return
    this.#reads.delete(id)
    const { stream } = this.#o.state()
    const { to, epoch, segmentEpoch, upTo, committed } = refill.effect
    const fitting = following(batches, refill.after, upTo)
    if (fitting.length === 0) return
    const request = { kind: 'append', id: refill.effect.id, stream, epoch, segmentEpoch, committed, next: [] } as const
    this.#o.servers.send(to.id, { ...request, batches: fitting })
  }

  /** By turns: one that has it may be out of reach, or have it damaged by now. */
  #sourceIn({ members }: Track, to: ServerId, after: Lsn): ServerId | undefined {
    const sources = [...members.values()].filter(
      ({ member, flushed, damagedFrom }) => member.id !== to && flushed > after && damagedFrom === null,
    )
    return sources[this.#turn++ % sources.length]?.member.id
  }
}

/** Whole ones, intact, one behind the other. */
function following(batches: readonly ReplicatedBatch[], after: Lsn, upTo: Lsn): readonly ReplicatedBatch[] {
  const fitting: ReplicatedBatch[] = []
  let end = after
  for (const batch of batches) {
    if (batch.firstLsn !== end + 1 || lastLsnOf(batch) > upTo || !isIntact(batch)) break
    fitting.push(copyOf(batch))
    end = lastLsnOf(batch)
  }
  return fitting
}
