import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { JournalBatch } from './batch.ts'
import { damagedHeader, faultText } from './fault-text.ts'
import { frameBytes, type PayloadCheck } from './frame.ts'
import { journalLimits } from './options.ts'
import { readSegmentHeader } from './segment-chain.ts'
import { cursorFromStart, type Frame, type SegmentCursor } from './segment-cursor.ts'
import type { SegmentHeader } from './segment-header.ts'
import { type SegmentName, segmentsOf } from './segment-name.ts'
import type { JournalFile, JournalStorage } from './storage.ts'

/**
 * Reads entries while another process appends: to catch up from disk. Checks place, chain and CRC of every frame, unless
 * told otherwise; the digests are recovery's and `journal verify`'s to check.
 */
export class JournalReader {
  private readonly storage: JournalStorage
  private readonly check: PayloadCheck
  private nextLsn: Lsn
  private segment: SegmentName | null = null
  private file: JournalFile | null = null
  private cursor: SegmentCursor | null = null
  /** A frame that was read and would have gone beyond what was asked for. */
  private held: Frame | null = null

  /** `fromLsn`: the first entry that is wanted; the frame that holds it is returned whole. */
  constructor(storage: JournalStorage, fromLsn: Lsn, check: PayloadCheck = 'crc') {
    this.storage = storage
    this.check = check
    this.nextLsn = fromLsn
  }

  /**
   * The next frames in order, about `maxBytes` of them but at least one if there is one; none that ends beyond `untilLsn`,
   * which must be an LSN that the writer has said to be written. Empty when there is nothing more up to there.
   * @throws CommanderError not_found with details { firstLsn } when the wanted entries are in segments that were removed;
   * journal_corrupt with details { segment, offset, lsn, rule, reason }
   */
  read(maxBytes: number, untilLsn: Lsn): JournalBatch[] {
    const batches: JournalBatch[] = []
    for (let bytes = 0; bytes < maxBytes && this.nextLsn <= untilLsn; ) {
      const frame = this.held ?? this.nextFrame()
      const endLsn = lsn(frame.header.firstLsn + frame.header.entryCount)
      this.held = endLsn - 1 > untilLsn ? frame : null
      if (this.held !== null) break
      if (endLsn <= this.nextLsn) continue
      this.nextLsn = endLsn
      bytes += frameBytes(frame.payload.length)
      const { firstLsn, entryCount, wallMs } = frame.header
      batches.push({ firstLsn, entryCount, wallMs, payload: frame.payload, digest: frame.digest })
    }
    return batches
  }

  close(): void {
    this.file?.close()
    this.file = null
    this.cursor = null
  }

  private nextFrame(): Frame {
    for (;;) {
      const cursor = this.cursor ?? this.openSegmentOf(this.nextLsn)
      if (cursor.sealed) {
        this.openSuccessor(cursor)
        continue
      }
      const ahead = cursor.next()
      if (typeof ahead !== 'string') return ahead
      // what was read ahead may be older than what the writer has said to be written
      cursor.refresh()
      const fresh = cursor.next()
      if (typeof fresh !== 'string') return fresh
      throw this.goneOr(cursor.position, faultText[fresh])
    }
  }

  private openSegmentOf(wanted: Lsn): SegmentCursor {
    const segments = segmentsOf(this.storage.list())
    const segment = segments.findLast(({ baseLsn }) => baseLsn <= wanted)
    if (segment === undefined) throw removed(wanted, segments[0])
    return this.openSegment(segment, null)
  }

  private openSuccessor(sealed: SegmentCursor): void {
    const next = sealed.header.segNo + 1
    const segment = segmentsOf(this.storage.list()).find(({ segNo }) => segNo === next)
    if (segment === undefined) throw this.goneOr(sealed.position, `segment ${next} is missing`)
    this.openSegment(segment, sealed)
  }

  private openSegment(segment: SegmentName, previous: SegmentCursor | null): SegmentCursor {
    this.close()
    this.segment = segment
    const header = this.headerOf(segment)
    if (header === null) throw this.goneOr(0, damagedHeader)
    if (previous !== null && !header.prevSegDigest.equals(previous.digest)) throw this.goneOr(0, faultText.chain)
    this.file = this.storage.openReadOnly(segment.name)
    this.cursor = cursorFromStart(this.file, header, this.check, journalLimits.readerSliceBytes)
    return this.cursor
  }

  private headerOf({ name }: SegmentName): SegmentHeader | null {
    try {
      return readSegmentHeader(this.storage, name)
    } catch (error) {
      if (isCommanderError(error) && error.code === 'not_found') return null
      throw error
    }
  }

  /** A segment that was removed, or made into another one, while it was read is no damage. */
  private goneOr(offset: number, reason: string): CommanderError {
    const segments = segmentsOf(this.storage.list())
    const name = this.segment?.name
    const there = segments.some((segment) => segment.name === name)
    if (!there) return removed(this.nextLsn, segments[0])
    return new CommanderError(
      'journal_corrupt',
      `the journal is damaged in segment ${name} at byte ${offset}, while reading LSN ${this.nextLsn}: ${reason}. ` +
        'Stop the database and run journal verify on it',
      { details: { segment: name, offset, lsn: this.nextLsn, rule: 'R6', reason } },
    )
  }
}

function removed(wanted: Lsn, oldest: SegmentName | undefined): CommanderError {
  const firstLsn = oldest?.baseLsn ?? null
  return new CommanderError(
    'not_found',
    `LSN ${wanted} is no longer in the journal, its oldest entry is ${firstLsn}: start from a newer state of the store`,
    { details: { firstLsn } },
  )
}
