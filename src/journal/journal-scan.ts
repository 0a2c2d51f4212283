import type { Lsn } from '../kernel/identifiers.ts'
import type { PayloadCheck } from './frame.ts'
import type { Observation, TailState } from './recovery-table.ts'
import type { Identity, SegmentFile } from './segment-chain.ts'
import type { ChainPoint, Frame } from './segment-cursor.ts'
import type { JournalStorage } from './storage.ts'
import type { WrittenRange } from './unflushed-frames.ts'

export interface ScanRequest {
  readonly storage: JournalStorage
  /** `null`: whatever the oldest segment says. */
  readonly identity: Identity | null
  /** Segments that end below it are only chain-checked. */
  readonly replayFrom: Lsn
  /** Highest LSN known to be flushed from elsewhere (R4). */
  readonly floorLsn: Lsn
  readonly check: PayloadCheck
  /** What the first segment follows. Default: LSN 0 and zeros. */
  readonly base?: ChainPoint
  /** As in a recovery. Default false. */
  readonly strictEnd?: boolean
}

export interface ScannedFrame {
  readonly segment: SegmentFile
  readonly frame: Frame
}

/** A place in the journal, for messages and for repair. */
export interface BadPlace {
  readonly segment: string
  readonly offset: number
  /** LSN of the entry that should be there. */
  readonly lsn: Lsn
  readonly reason: string
}

/** End of the valid frames. */
export interface ScanEnd extends ChainPoint {
  /** The segment that holds the end; `null` when there is none. */
  readonly segment: SegmentFile | null
  readonly position: number
  readonly sealed: boolean
  readonly wallMs: number
}

/** A file, or the end of one, that lies behind the end of the valid frames. */
export interface Leftover {
  readonly segment: string
  readonly from: number
  readonly usedEnd: number
}

export interface JournalScan {
  readonly identity: 'own' | 'foreign' | 'newer'
  readonly newerVersion: number | null
  readonly chain: Observation['chain']
  readonly tail: TailState
  /** The floor with what the frames themselves vouch for. */
  readonly floorLsn: Lsn
  readonly segments: readonly SegmentFile[]
  /** Index of the first segment that was scanned. */
  readonly scannedFrom: number
  readonly end: ScanEnd
  readonly bad: BadPlace | null
  readonly leftovers: readonly Leftover[]
  /** Frames above the floor: R8 writes them back before it flushes. */
  readonly unflushed: readonly WrittenRange[]
}
