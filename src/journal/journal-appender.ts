import { assert } from '../kernel/assert.ts'
import type { Environment } from '../kernel/environment.ts'
import { type CommanderError, isCommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limitReached, tooLarge } from './append-errors.ts'
import { writeCleanStop } from './clean-stop.ts'
import { frameBytes } from './frame.ts'
import type { Journal } from './journal-handle.ts'
import { bytesOf, type FrameContent, OpenSegment } from './open-segment.ts'
import { framePayloadBytesMax, type JournalOptions, journalLimits, segmentHeaderBytes } from './options.ts'
import type { Identity } from './segment-chain.ts'
import { encodeSegmentHeader, type SegmentHeader } from './segment-header.ts'
import { type SegmentName, segmentName } from './segment-name.ts'
import type { SpareSegment } from './spare-segment.ts'
import type { JournalFile, JournalStorage } from './storage.ts'

/** Where the journal goes on: at the end that recovery found. */
export interface AppendStart {
  /** Number of the segment that comes next. */
  readonly nextSegNo: number
  readonly current: OpenSegment | null
  readonly segments: readonly SegmentName[]
  readonly timeline: number
  readonly nextLsn: Lsn
  readonly digest: Buffer
  readonly wallMs: number
}

export interface AppenderParts {
  readonly storage: JournalStorage
  readonly environment: Environment
  readonly identity: Identity
  /** Epoch of the leader that its segments are of. Default 1. */
  readonly segEpoch?: number
  readonly options: JournalOptions
  readonly spare: SpareSegment
}

/**
 * The one writer of a journal.
 * A3 A failed flush or write is never tried again, except on a full disk, where nothing was appended.
 * A4 A segment is sealed before its successor has its name.
 * A5 A flush covers the older segments before the current one.
 */
export class JournalAppender implements Journal {
  failed: CommanderError | null = null
  writtenLsn: Lsn
  flushedLsn: Lsn
  writtenBytes = 0
  lastDigest: Buffer
  timeline: number
  private readonly parts: AppenderParts
  private readonly payloadBytesMax: number
  private segments: SegmentName[]
  private nextSegNo: number
  private current: OpenSegment | null
  private wallMs: number
  /** An empty file on its way to be the next segment. */
  private next: JournalFile | null = null
  /** Sealed segments with writes that no flush has covered. */
  private retired: OpenSegment[] = []
  private flushing = false
  private afterFlush: (() => void) | null = null
  private closing = false
  private closed = false

  constructor(parts: AppenderParts, start: AppendStart) {
    this.parts = parts
    this.payloadBytesMax = framePayloadBytesMax(parts.options)
    this.segments = [...start.segments]
    this.nextSegNo = start.nextSegNo
    this.current = start.current
    this.timeline = start.timeline
    this.wallMs = start.wallMs
    this.writtenLsn = lsn(start.nextLsn - 1)
    this.flushedLsn = this.writtenLsn
    this.lastDigest = start.digest
  }

  get firstLsn(): Lsn {
    return this.segments[0]?.baseLsn ?? lsn(this.writtenLsn + 1)
  }

  append(payload: Buffer, firstLsn: Lsn, entryCount: number, committedLsn: Lsn, useReserve = false): void {
    this.appendParts([payload], firstLsn, entryCount, committedLsn, useReserve)
  }

  /** The same, of a payload in parts that follow one another. */
  appendParts(
    payload: readonly Buffer[],
    firstLsn: Lsn,
    entryCount: number,
    committedLsn: Lsn,
    useReserve = false,
  ): void {
    this.mustBeUsable()
    const payloadBytes = bytesOf(payload)
    assert(firstLsn === this.writtenLsn + 1, `LSN ${firstLsn} does not follow ${this.writtenLsn}`)
    assert(entryCount > 0 && payloadBytes > 0, 'a frame holds at least one entry')
    assert(committedLsn <= this.writtenLsn, `LSN ${committedLsn} is committed and not yet written`)
    if (payloadBytes > this.payloadBytesMax) throw tooLarge(payloadBytes, this.payloadBytesMax)
    this.orPoison(() => {
      const segment = this.segmentFor(payloadBytes, useReserve)
      this.lastDigest = segment.append(this.content(firstLsn, entryCount, committedLsn), payload)
    })
    this.writtenLsn = lsn(firstLsn + entryCount - 1)
    this.writtenBytes += frameBytes(payloadBytes)
  }

  flush(done: (flushedLsn: Lsn, error: CommanderError | null) => void): void {
    assert(!this.closed && !this.flushing, 'one flush at a time, none after close')
    const target = this.writtenLsn
    const dirty = this.current?.dirty ? this.current : null
    this.current?.startFlush()
    this.flushing = true
    const finish = (error: CommanderError | null): void => {
      this.flushing = false
      if (error === null) this.flushedLsn = target
      else this.failed ??= error
      done(this.flushedLsn, error)
      this.afterFlush?.()
    }
    if (this.failed !== null || (dirty === null && this.retired.length === 0))
      this.parts.environment.scheduler.soon(() => finish(this.failed))
    else this.flushRetired(this.retired.length, dirty, finish)
  }

  /** Counts the spare, which will have to be there as well. */
  get isAtLimit(): boolean {
    const { segmentBytes, maxBytes } = this.parts.options
    return (this.segments.length + 1) * segmentBytes > maxBytes
  }

  hasRoomFor(payloadBytes: number): boolean {
    const { current } = this
    return current === null || !this.isAtLimit || current.roomAfter(payloadBytes) >= journalLimits.reserveBytes
  }

  get sealedLsn(): Lsn {
    return lsn((this.segments.at(-1)?.baseLsn ?? 1) - 1)
  }

  bytesAfter(after: Lsn): number {
    const first = this.segments.findLastIndex(({ baseLsn }) => baseLsn <= after + 1)
    return (this.segments.length - Math.max(0, first)) * this.parts.options.segmentBytes
  }

  removableBefore(beforeLsn: Lsn): number {
    let count = 0
    // once an entry of a segment's successor is flushed, so are its own seal and the successor's header
    const below = Math.min(beforeLsn, this.flushedLsn)
    while ((this.segments[count + 1]?.baseLsn ?? Number.POSITIVE_INFINITY) <= below) count++
    return count
  }

  removeBefore(beforeLsn: Lsn, most: number = Number.POSITIVE_INFINITY): number {
    this.mustBeUsable()
    const { storage, spare, options } = this.parts
    const count = Math.min(most, this.removableBefore(beforeLsn))
    for (const { name } of this.segments.slice(0, count)) {
      if (options.recycle && spare.wantsFile) {
        spare.prepare(name)
        // one that the disk did not let become the spare would be left before a gap, which no start goes past
        if (storage.list().includes(name)) storage.remove(name)
      } else storage.remove(name)
      this.segments.shift()
    }
    return count
  }

  switchSegment(): void {
    this.mustBeUsable()
    const { current } = this
    if (current !== null && !current.sealed && current.isEmpty) return
    if (current !== null && this.isAtLimit) throw this.limitReached()
    this.orPoison(() => this.roll(this.timeline))
  }

  close(done: (error: CommanderError | null) => void): void {
    assert(!this.closing, 'the journal is closed')
    this.closing = true
    this.closeWhenFlushed(done)
  }

  /**
   * Closes the files, once no flush is under way, and writes nothing more, not even the mark of a clean stop: for who is
   * about to replace what is on the disk. The spare is left to whoever appends next.
   */
  abandon(): void {
    assert(!this.closing, 'the journal is closed')
    this.closing = true
    if (this.next !== null) this.parts.storage.remove(this.next.name)
    if (this.next !== null) this.parts.spare.used()
    if (this.flushing) this.afterFlush = () => this.closeFiles()
    else this.closeFiles()
  }

  /** Seals the current segment and goes on in a new one, of this timeline. */
  roll(timeline: number): void {
    const { storage, environment, spare } = this.parts
    this.next ??= spare.take()
    if (this.current !== null && !this.current.sealed)
      this.lastDigest = this.current.seal(this.content(this.nextLsn, 0, this.flushedLsn))
    const header = this.nextHeader(timeline)
    const name = segmentName(header.segNo, header.baseLsn)
    this.next.write([encodeSegmentHeader(header)], 0)
    storage.rename(this.next.name, name)
    spare.used()
    this.next.close()
    this.next = null
    if (this.current !== null) this.retired.push(this.current)
    // opened again so that errors of it name the segment
    this.current = new OpenSegment(storage.open(name), header, segmentHeaderBytes)
    this.current.dirty = true
    this.timeline = timeline
    this.segments.push({ name, segNo: header.segNo, baseLsn: header.baseLsn })
    this.nextSegNo = header.segNo + 1
    environment.log.info({ segment: name, timeline }, 'the journal goes on in a new segment')
    spare.prepare()
  }

  private get nextLsn(): Lsn {
    return lsn(this.writtenLsn + 1)
  }

  private closeWhenFlushed(done: (error: CommanderError | null) => void): void {
    if (this.flushing) {
      this.afterFlush = () => this.closeWhenFlushed(done)
      return
    }
    this.afterFlush = null
    this.flush((_flushedLsn, error) => {
      this.closed = true
      this.parts.spare.stop(() => done(this.finish(error)))
    })
  }

  private mustBeUsable(): void {
    assert(!this.closing, 'the journal is closed')
    if (this.failed !== null) throw this.failed
  }

  private segmentFor(payloadBytes: number, useReserve: boolean): OpenSegment {
    if (this.current === null || this.current.sealed || this.current.roomAfter(payloadBytes) < 0) {
      if (this.current !== null && this.isAtLimit) throw this.limitReached()
      this.roll(this.timeline)
    } else if (!useReserve && !this.hasRoomFor(payloadBytes)) {
      throw this.limitReached()
    }
    const { current } = this
    assert(current !== null, 'there is a current segment')
    const { failure } = this.parts.spare
    if (failure?.code === 'journal_full' && !useReserve && current.roomAfter(payloadBytes) < journalLimits.reserveBytes)
      throw failure
    return current
  }

  private limitReached(): CommanderError {
    return limitReached(this.parts.options.maxBytes, this.segments[0]?.name)
  }

  private content(firstLsn: Lsn, entryCount: number, committedLsn: Lsn): FrameContent {
    this.wallMs = Math.max(this.wallMs, this.parts.environment.clock.wallMs())
    return {
      entryCount,
      firstLsn,
      committedLsn,
      durableLsn: this.flushedLsn,
      wallMs: this.wallMs,
      prevDigest: this.lastDigest,
    }
  }

  private nextHeader(timeline: number): SegmentHeader {
    const { identity, options, environment } = this.parts
    const salt = Buffer.alloc(16)
    for (let at = 0; at < salt.length; at += 4) salt.writeUInt32LE(environment.random.uint32(), at)
    return {
      journalId: Buffer.from(identity.journalId),
      serverId: Buffer.from(identity.serverId),
      streamId: 1,
      segEpoch: this.parts.segEpoch ?? 1,
      timeline,
      blockBytes: options.blockBytes,
      segNo: this.nextSegNo,
      baseLsn: this.nextLsn,
      segmentBytes: options.segmentBytes,
      salt,
      prevSegDigest: this.lastDigest,
      createdWallMs: environment.clock.wallMs(),
    }
  }

  private orPoison(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (isCommanderError(error) && error.code !== 'journal_full') this.failed ??= error
      throw error
    }
  }

  /** A5. The current segment may itself retire meanwhile; then the next flush covers what it got since. */
  private flushRetired(count: number, current: OpenSegment | null, done: (error: CommanderError | null) => void): void {
    const oldest = count > 0 ? this.retired[0] : undefined
    if (oldest === undefined) {
      if (current === null) done(null)
      else current.file.flush(done)
      return
    }
    oldest.file.flush((error) => {
      if (error !== null) return done(error)
      oldest.file.close()
      this.retired.shift()
      this.flushRetired(count - 1, current, done)
    })
  }

  private closeFiles(): void {
    this.closed = true
    for (const { file } of [...this.retired, ...(this.current === null ? [] : [this.current])]) file.close()
    this.next?.close()
  }

  private finish(error: CommanderError | null): CommanderError | null {
    const { storage, identity, environment } = this.parts
    this.closeFiles()
    if (error !== null) return error
    try {
      const { journalId } = identity
      writeCleanStop(storage, {
        journalId,
        lastLsn: this.flushedLsn,
        lastDigest: this.lastDigest,
        wallMs: environment.clock.wallMs(),
      })
      return null
    } catch (caught) {
      if (isCommanderError(caught)) return caught
      throw caught
    }
  }
}
