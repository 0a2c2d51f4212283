import { type FramePlace, readSalvaged, type Salvage } from '../journal/salvage.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { DamagedRange } from './messages.ts'
import { decodeStored } from './stored-batch.ts'

/** What is left of a damaged segment: reads what is intact, and says what is not. */
export class SegmentRemains {
  private readonly storage: JournalStorage
  private readonly frames: readonly FramePlace[]

  constructor(storage: JournalStorage, { frames }: Salvage, ceiling: Lsn | null) {
    this.storage = storage
    this.frames = ceiling === null ? frames : frames.filter((frame) => lastLsnOf(frame) <= ceiling)
  }

  /** I14: what is missing from `from` to `to`. */
  damaged(from: Lsn, to: Lsn): DamagedRange[] {
    const ranges: DamagedRange[] = []
    let next = from
    for (const frame of this.frames) {
      if (frame.firstLsn > next) ranges.push({ from: next, to: lsn(frame.firstLsn - 1) })
      next = lsn(Math.max(next, lastLsnOf(frame) + 1))
    }
    if (next <= to) ranges.push({ from: next, to })
    return ranges
  }

  get committed(): Lsn {
    return lsn(Math.max(0, ...this.frames.slice(-1).map((frame) => this.stored(frame).committed)))
  }

  /** The batch that holds this entry; null when it is damaged. */
  batchOf(wanted: Lsn): ReplicatedBatch | null {
    const frame = this.frames.find((one) => one.firstLsn <= wanted && wanted <= lastLsnOf(one))
    return frame === undefined ? null : this.stored(frame).batch
  }

  read(from: Lsn, to: Lsn, bytesMax: number): ReplicatedBatch[] {
    const batches: ReplicatedBatch[] = []
    let next = from
    for (let bytes = 0; next <= to && bytes < bytesMax; ) {
      const batch = this.batchOf(next)
      if (batch === null) break
      batches.push(batch)
      bytes += batch.payload.length
      next = lsn(lastLsnOf(batch) + 1)
    }
    return batches
  }

  private stored(frame: FramePlace): ReturnType<typeof decodeStored> {
    return decodeStored(frame.firstLsn, frame.entryCount, readSalvaged(this.storage, frame))
  }
}
