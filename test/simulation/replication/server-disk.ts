import type { Epoch, Lsn } from '../../../src/kernel/identifiers.ts'
import { lsn, noEpoch } from '../../../src/kernel/identifiers.ts'
import { type Digest, lastLsnOf, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { newServerSegment, type ServerSegment } from '../../../src/replication/journal-server-state.ts'
import type { DamagedRange } from '../../../src/replication/messages.ts'
import type { SeededRandom } from '../../../src/testing/seeded-random.ts'
import type { Truth } from './truth.ts'

export interface DiskSegment {
  readonly segmentEpoch: Epoch
  readonly base: Lsn
  readonly baseDigest: Digest
  batches: ReplicatedBatch[]
  /** So many of them survive a loss of power. */
  flushed: number
  committed: Lsn
  damaged: DamagedRange[]
  /** Damage took the end: there was more. Stays known until the segment is dropped. */
  isEndLost: boolean
}

/** What one directory of a journal server holds, and what of it a crash leaves. */
export class ServerDisk {
  readonly identity: string
  promised: Epoch = noEpoch
  isFull = false
  readonly segments = new Map<Epoch, DiskSegment>()
  readonly #truth: Truth

  constructor(identity: string, truth: Truth) {
    this.identity = identity
    this.#truth = truth
  }

  /** Durable when it returns. */
  promise(wanted: Epoch): void {
    this.#truth.check(wanted >= this.promised, `I4: ${this.identity} promised ${this.promised}, then ${wanted}`)
    this.promised = wanted
  }

  create(segmentEpoch: Epoch, base: Lsn, baseDigest: Digest): void {
    const [batches, damaged] = [[], []]
    const [flushed, committed] = [0, lsn(0)]
    this.segments.set(segmentEpoch, {
      segmentEpoch,
      base,
      baseDigest,
      batches,
      flushed,
      committed,
      damaged,
      isEndLost: false,
    })
  }

  /** @returns false when there is no room. */
  write(segmentEpoch: Epoch, batches: readonly ReplicatedBatch[], committed: Lsn): boolean {
    if (this.isFull) return false
    const segment = this.segment(segmentEpoch)
    for (const batch of batches) {
      const [end, digest] = endOf(segment)
      const isNext = batch.firstLsn === end + 1 && batch.prevDigest.equals(digest)
      this.#truth.check(
        isNext,
        `I3: ${this.identity} has segment ${segmentEpoch} up to ${end}, and writes ${batch.firstLsn}`,
      )
      this.#truth.wrote(segmentEpoch, batch)
      segment.batches.push(batch)
    }
    segment.committed = lsn(Math.max(segment.committed, committed))
    return true
  }

  /** All that is written by now. */
  flush(segmentEpoch: Epoch, written: Lsn): void {
    const segment = this.segments.get(segmentEpoch)
    if (segment === undefined) return
    segment.flushed = Math.max(segment.flushed, segment.batches.filter((batch) => lastLsnOf(batch) <= written).length)
    this.#truth.flushed(this.identity, segmentEpoch, this.flushedEnd(segmentEpoch))
  }

  written(segmentEpoch: Epoch): Lsn {
    const segment = this.segments.get(segmentEpoch)
    return segment === undefined ? lsn(0) : endOf(segment)[0]
  }

  flushedEnd(segmentEpoch: Epoch): Lsn {
    const segment = this.segments.get(segmentEpoch)
    if (segment === undefined) return lsn(0)
    const last = segment.batches[segment.flushed - 1]
    return last === undefined ? lsn(segment.base - 1) : lastLsnOf(last)
  }

  truncate(segmentEpoch: Epoch, after: Lsn): void {
    const segment = this.segment(segmentEpoch)
    segment.batches = segment.batches.filter((batch) => lastLsnOf(batch) <= after)
    segment.flushed = Math.min(segment.flushed, segment.batches.length)
    segment.damaged = segment.damaged.filter(({ from }) => from <= after)
    this.#truth.truncated(this.identity, segmentEpoch, after)
  }

  dropBefore(before: Lsn): void {
    const newest = Math.max(...this.segments.keys())
    for (const segment of [...this.segments.values()]) {
      if (segment.segmentEpoch === newest || endOf(segment)[0] >= before) continue
      this.segments.delete(segment.segmentEpoch)
      this.#truth.dropped(this.identity, segment.segmentEpoch, endOf(segment)[0])
    }
  }

  digestAt(segmentEpoch: Epoch, at: Lsn): Digest | null {
    const segment = this.segments.get(segmentEpoch)
    const batch = segment?.batches.findLast((one) => lastLsnOf(one) === at)
    if (segment === undefined || batch === undefined || isDamaged(segment, batch)) return null
    return batch.digest
  }

  read(segmentEpoch: Epoch, from: Lsn, until: Lsn, most: number): readonly ReplicatedBatch[] {
    const { batches } = this.segment(segmentEpoch)
    return batches.filter((batch) => lastLsnOf(batch) >= from && lastLsnOf(batch) <= until).slice(0, most)
  }

  /** A process that dies loses nothing that it wrote; a loss of power what was not flushed, or some of it. */
  crash(isPower: boolean, random: SeededRandom): void {
    for (const segment of this.segments.values()) {
      const kept = isPower ? random.integer(segment.flushed, segment.batches.length) : segment.batches.length
      segment.batches.length = kept
      segment.committed = lsn(random.pick([segment.committed, 0]))
    }
  }

  /** What recovery finds, and flushes. */
  recovered(): readonly ServerSegment[] {
    return [...this.segments.values()].map((segment) => {
      cutDamagedEnd(segment)
      segment.flushed = segment.batches.length
      const [flushed, digest] = endOf(segment)
      this.#truth.flushed(this.identity, segment.segmentEpoch, flushed)
      const { segmentEpoch, base, baseDigest, committed, damaged, isEndLost } = segment
      return newServerSegment({
        segmentEpoch,
        base,
        baseDigest,
        flushed,
        flushedDigest: digest,
        committed: lsn(Math.min(committed, flushed)),
        atLeast: isEndLost,
        damaged,
      })
    })
  }

  damageMiddle(random: SeededRandom): boolean {
    const segment = this.#anySegment(random, 2)
    if (segment === null || segment.damaged.length > 0) return false
    const batch = segment.batches[random.integer(0, segment.batches.length - 2)] as ReplicatedBatch
    segment.damaged = [{ from: batch.firstLsn, to: lastLsnOf(batch) }]
    return true
  }

  damageEnd(random: SeededRandom): boolean {
    const segment = this.#anySegment(random, 1)
    if (segment === null) return false
    segment.batches.length = random.integer(0, segment.batches.length - 1)
    segment.flushed = Math.min(segment.flushed, segment.batches.length)
    segment.damaged = segment.damaged.filter(({ from }) => from <= endOf(segment)[0])
    segment.isEndLost = true
    return true
  }

  #anySegment(random: SeededRandom, batches: number): DiskSegment | null {
    const all = [...this.segments.values()].filter((segment) => segment.batches.length >= batches)
    return all.length === 0 ? null : random.chance(0.6) ? (all.at(-1) as DiskSegment) : random.pick(all)
  }

  segment(segmentEpoch: Epoch): DiskSegment {
    const segment = this.segments.get(segmentEpoch)
    if (segment === undefined) throw new Error(`${this.identity} has no segment ${segmentEpoch}`)
    return segment
  }
}

/** What cannot be read at the end cannot be followed either. */
function cutDamagedEnd(segment: DiskSegment): void {
  for (
    let last = segment.batches.at(-1);
    last !== undefined && isDamaged(segment, last);
    last = segment.batches.at(-1)
  ) {
    segment.batches.pop()
    segment.isEndLost = true
    const { firstLsn } = last
    segment.damaged = segment.damaged.filter(({ from }) => from < firstLsn)
  }
}

const isDamaged = ({ damaged }: DiskSegment, batch: ReplicatedBatch): boolean =>
  damaged.some(({ from, to }) => from <= lastLsnOf(batch) && batch.firstLsn <= to)

function endOf({ batches, base, baseDigest }: DiskSegment): [Lsn, Digest] {
  const last = batches.at(-1)
  return last === undefined ? [lsn(base - 1), baseDigest] : [lastLsnOf(last), last.digest]
}
