import { readCleanStop } from '../../src/journal/clean-stop.ts'
import { frameBytes } from '../../src/journal/frame.ts'
import { scanJournal } from '../../src/journal/journal-scanner.ts'
import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentHeaderBytes } from '../../src/journal/options.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import { lsn } from '../../src/kernel/identifiers.ts'

/** A frame that would be in the journal if the medium had never failed. */
export interface TrueFrame {
  readonly segment: string
  readonly firstLsn: number
  /** `firstLsn - 1` in a seal. */
  readonly lastLsn: number
  readonly durableLsn: number
  /** Behind its last byte. */
  readonly end: number
  /** The same bytes are where it is looked for, and its segment's header is sound. */
  readonly isIntact: boolean
}

/** What the journal would be if the medium had never failed, held against what programs see of it. */
export interface Truth {
  readonly disk: MemoryStorage
  readonly frames: readonly TrueFrame[]
  readonly lastLsn: number
  /** What the mark of a clean stop vouches for. */
  readonly markedLsn: number
}

/** @param disk what is known of it from before, where somebody has begun to recover the journal since */
export function truthOf(seen: MemoryStorage, disk: MemoryStorage = seen.flawless()): Truth {
  const frames: TrueFrame[] = []
  const [oldest] = segmentsOf(disk.list())
  if (oldest !== undefined) {
    const isSame = comparing(seen, disk)
    const replayFrom = oldest.baseLsn
    const scanning = scanJournal({ storage: disk, identity: null, replayFrom, floorLsn: lsn(0), check: 'crc' })
    for (let step = scanning.next(); step.done !== true; step = scanning.next()) {
      const { segment, frame } = step.value
      const { firstLsn, entryCount, durableLsn, payloadBytes } = frame.header
      const isIntact =
        isSame(segment.name, 0, segmentHeaderBytes) && isSame(segment.name, frame.offset, frameBytes(payloadBytes))
      const lastLsn = firstLsn + entryCount - 1
      const end = frame.offset + frameBytes(payloadBytes)
      frames.push({ segment: segment.name, firstLsn, lastLsn, durableLsn, end, isIntact })
    }
  }
  const lastLsn = frames.at(-1)?.lastLsn ?? (oldest?.baseLsn ?? 1) - 1
  return { disk, frames, lastLsn, markedLsn: readCleanStop(seen)?.lastLsn ?? 0 }
}

function comparing(seen: MemoryStorage, disk: MemoryStorage): (name: string, at: number, length: number) => boolean {
  const bytes = new Map<string, readonly [Buffer | null, Buffer | null]>()
  return (name, at, length) => {
    const [one, other] = bytes.get(name) ?? [seen.readWhole(name), disk.readWhole(name)]
    bytes.set(name, [one, other])
    return one !== null && other !== null && one.compare(other, at, at + length, at, at + length) === 0
  }
}
