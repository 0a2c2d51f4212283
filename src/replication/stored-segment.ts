import { prepareCut } from '../journal/cut.ts'
import type { JournalAppender } from '../journal/journal-appender.ts'
import { openDurable } from '../journal/open-durable.ts'
import { carryOut } from '../journal/recovery-steps.ts'
import { salvage } from '../journal/salvage.ts'
import { asideName, segmentsOf, spareName } from '../journal/segment-name.ts'
import { SpareSegment } from '../journal/spare-segment.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { assert } from '../kernel/assert.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { type Epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { type Digest, lastLsnOf, type ReplicatedBatch } from './batch.ts'
import type { DamagedRange } from './messages.ts'
import { type SegmentMark, writeSegmentMark } from './segment-mark.ts'
import type { SegmentParts } from './segment-parts.ts'
import { SegmentReading } from './segment-reading.ts'
import { journalBaseOf, leftOf, type RecoveredSegment } from './segment-recovery.ts'
import type { SegmentRemains } from './segment-remains.ts'
import type { SegmentSummary } from './server-log.ts'
import { encodeStoredHead } from './stored-batch.ts'

/**
 * A segment of a replicated stream on a server's disk: a journal in a directory of its own, and a mark that says where it
 * begins. S1 What `tail` counts is in the journal or in `damaged`. S2 The mark is durable before the journal is changed
 * to what it says.
 */
export class StoredSegment implements SegmentSummary {
  tail: Lsn
  tailDigest: Digest | null
  flushed: Lsn
  committed: Lsn
  private readonly parts: SegmentParts
  private readonly reading: SegmentReading
  private mark: SegmentMark
  private remains: SegmentRemains | null
  /** What lies behind the last sound frame is no clean end. */
  private endIsDamaged: boolean
  /** Found while reading, in a journal that had been sound when it was opened. */
  private foundDamaged: readonly DamagedRange[] = []
  private appender: JournalAppender | null = null
  private spare: SpareSegment | null = null
  /** Is being given back. */
  private formerSpare: SpareSegment | null = null
  private isGone = false
  /** No longer the one that the leader writes to: it needs no spare. */
  private isPast = false

  constructor(parts: SegmentParts, mark: SegmentMark, found: RecoveredSegment) {
    this.parts = parts
    this.reading = new SegmentReading(parts.storage)
    this.mark = mark
    this.tail = found.tail
    this.tailDigest = found.tailDigest
    this.flushed = found.tail
    this.committed = found.committed
    this.endIsDamaged = found.atLeast
    this.remains = found.remains
  }

  get epoch(): Epoch {
    return this.mark.epoch
  }

  get base(): Lsn {
    return this.mark.base
  }

  get baseDigest(): Digest {
    return this.mark.baseDigest
  }

  get from(): Lsn {
    return this.mark.from
  }

  get storage(): JournalStorage {
    return this.parts.storage
  }

  get finished(): Lsn | null {
    return this.mark.finished
  }

  get atLeast(): boolean {
    const isWhole = this.finished !== null && this.tail >= this.finished
    return (this.endIsDamaged || this.mark.atLeast) && !isWhole
  }

  get damaged(): readonly DamagedRange[] {
    return this.remains?.damaged(this.from, this.tail) ?? this.foundDamaged
  }

  get isReadOnly(): boolean {
    return this.remains !== null || this.tailDigest === null
  }

  append(batches: readonly ReplicatedBatch[], committed: Lsn): void {
    if (this.isReadOnly) throw this.damageAt(this.damaged[0]?.from ?? this.from)
    for (const batch of batches) {
      const { firstLsn, entryCount, payload, prevDigest, digest } = batch
      assert(firstLsn === this.tail + 1, `a batch from LSN ${firstLsn} on does not follow LSN ${this.tail}`)
      assert(this.tailDigest?.equals(prevDigest), `the batch at LSN ${firstLsn} follows something else`)
      const known = lsn(Math.min(committed, this.tail))
      this.opened().appendParts([encodeStoredHead(batch, committed), payload], firstLsn, entryCount, known)
      this.tail = lastLsnOf(batch)
      this.tailDigest = Buffer.from(digest)
    }
    this.committed = lsn(Math.max(this.committed, committed))
  }

  flush(done: (flushed: Lsn, error: CommanderError | null) => void): void {
    const { appender } = this
    if (appender === null) {
      this.parts.environment.scheduler.soon(() => done(this.flushed, null))
      return
    }
    appender.flush((flushed, error) => {
      // what was cut off meanwhile counts no more
      if (this.appender === appender) this.flushed = lsn(Math.min(flushed, this.tail))
      if (error === null && this.isPast && this.flushed === this.tail) this.retire()
      done(this.flushed, error)
    })
  }

  read(from: Lsn, to: Lsn, bytesMax: number): ReplicatedBatch[] {
    const last = lsn(Math.min(to, this.tail))
    if (from > last) return []
    if (from < this.from) throw trimmedBelow(this.from)
    if (this.remains === null) {
      try {
        return this.reading.read(from, last, bytesMax, this.tail)
      } catch (error) {
        this.noteDamage(error)
      }
    }
    const batches = (this.remains ?? this.remainsNow()).read(from, last, bytesMax)
    if (batches.length === 0) throw this.damageAt(from)
    return batches
  }

  digestAt(at: Lsn): Digest | null {
    if (at === this.tail) return this.tailDigest
    if (at === this.base - 1) return this.baseDigest
    if (at === this.from - 1) return this.mark.fromDigest
    if (at < this.from || at > this.tail) return null
    try {
      const [batch] = this.read(at, at, 1)
      return batch !== undefined && lastLsnOf(batch) === at ? batch.digest : null
    } catch (error) {
      if (isCommanderError(error) && error.code === 'journal_corrupt') return null
      throw error
    }
  }

  truncate(after: Lsn): void {
    if (after >= this.tail && !this.endIsDamaged) return
    assert(after >= this.from - 1, `LSN ${after} is below what the segment has`)
    const digest = this.digestAt(after)
    const firstDamaged = this.damaged[0]?.from ?? null
    const isCut = firstDamaged === null || firstDamaged > after
    const losesDamage = this.endIsDamaged || (isCut && firstDamaged !== null)
    assert(!isCut || digest !== null || after === this.from - 1, `LSN ${after} does not end a batch`)
    const carryOut = isCut ? prepareCut(this.parts.storage, after, this.flushed) : null
    this.changeMark({
      floor: lsn(Math.min(this.mark.floor, after)),
      ceiling: isCut ? null : after,
      atLeast: this.mark.atLeast || losesDamage,
    })
    if (carryOut !== null) this.cut(after, carryOut)
    this.endIsDamaged = false
    this.tail = after
    this.tailDigest = digest
    this.flushed = this.appender === null ? after : lsn(Math.min(this.flushed, after))
    this.committed = lsn(Math.min(this.committed, after))
    if (!isCut) this.remains = this.remainsNow()
  }

  /**
   * Lets go of a damaged end, which nothing could follow, and says `atLeast` from then on. What is cut off is kept aside first: it
   * may be the last copy of something.
   */
  async letGoOfDamagedEnd(): Promise<void> {
    if (!this.endIsDamaged) return
    const { storage, environment } = this.parts
    const after = this.tailDigest === null ? lsn((this.damaged.at(-1)?.from ?? this.from) - 1) : this.tail
    const last = segmentsOf(storage.list()).findLastIndex(({ baseLsn }) => baseLsn <= after)
    const wallMs = environment.clock.wallMs()
    const steps = segmentsOf(storage.list())
      .slice(Math.max(0, last))
      .map(({ name }) => ({
        kind: 'copy' as const,
        name,
        from: 0,
        to: sizeOf(storage, name),
        as: asideName('lost', name, 0, wallMs),
      }))
    try {
      await carryOut(storage, steps)
      this.truncate(after)
    } catch (error) {
      if (!isCommanderError(error) || error.code !== 'journal_full') throw error
      environment.log.warn({ code: error.code }, `a damaged end is left as it is: ${error.message}`)
    }
  }

  finish(tail: Lsn): void {
    if (tail < this.tail || this.endIsDamaged) this.truncate(tail)
    if (this.mark.finished !== tail) this.changeMark({ finished: tail })
  }

  /** What is flushed now is known to be, whatever the disk says later. */
  vouch(): void {
    if (this.flushed > this.mark.floor) this.changeMark({ floor: this.flushed })
  }

  /** Drops files that lie below as a whole, but for the last one. */
  dropBefore(before: Lsn): void {
    const { storage } = this.parts
    const files = segmentsOf(storage.list())
    const stale = files.filter((_file, index) => (files[index + 1]?.baseLsn ?? Number.POSITIVE_INFINITY) <= before)
    const kept = files[stale.length]
    if (stale.length === 0 || kept === undefined || kept.baseLsn > this.flushed) return
    this.changeMark({ from: kept.baseLsn, fromDigest: this.digestAt(lsn(kept.baseLsn - 1)) })
    this.foundDamaged = this.foundDamaged.filter(({ to }) => to >= kept.baseLsn)
    this.reading.close()
    if (this.appender === null) for (const { name } of stale) storage.remove(name)
    else this.appender.removeBefore(kept.baseLsn)
  }

  /** Another segment is the one that is written to from now on: gives back what is kept for that. */
  pass(): void {
    this.isPast = true
    if (this.appender === null || this.flushed === this.tail) this.retire()
  }

  /** Its files are about to be removed. */
  discard(): void {
    this.isGone = true
    this.reading.close()
    this.appender?.abandon()
    this.appender = null
    this.spare?.stop(() => undefined)
    this.spare = null
  }

  close(done: (error: CommanderError | null) => void): void {
    this.reading.close()
    const { appender, formerSpare } = this
    this.appender = null
    const closed = (error: CommanderError | null): void =>
      formerSpare === null ? done(error) : formerSpare.whenSettled(() => done(error))
    if (appender === null) closed(null)
    else appender.close(closed)
  }

  private opened(): JournalAppender {
    const { environment, storage, options } = this.parts
    if (this.appender !== null) return this.appender
    if (this.spare === null) {
      this.spare = new SpareSegment(storage, environment, options)
      this.spare.adopt()
      if (this.isPast) this.spare.stop(() => undefined)
    }
    const appending = { ...this.parts, segEpoch: this.epoch, spare: this.spare }
    try {
      this.appender = openDurable(appending, journalBaseOf(this.mark))
    } catch (error) {
      this.noteDamage(error)
      this.remains = this.remainsNow()
      throw error
    }
    this.spare.prepare()
    return this.appender
  }

  private retire(): void {
    this.appender?.abandon()
    this.appender = null
    const { spare } = this
    this.spare = null
    if (spare === null) return
    this.formerSpare = spare
    spare.stop(() => this.removeSpare())
  }

  /** One that stays is a waste of room and nothing else. */
  private removeSpare(): void {
    const { storage, environment } = this.parts
    try {
      if (!this.isGone && storage.list().includes(spareName)) storage.remove(spareName)
    } catch (error) {
      environment.log.warn({ err: error }, `a spare segment that is not needed any more stays: ${messageOf(error)}`)
    }
  }

  private cut(after: Lsn, carryOut: () => void): void {
    this.reading.close()
    this.appender?.abandon()
    this.appender = null
    carryOut()
    this.remains = null
    this.foundDamaged = this.foundDamaged.filter(({ from }) => from <= after)
  }

  private changeMark(change: Partial<SegmentMark>): void {
    const mark = { ...this.mark, ...change }
    writeSegmentMark(this.parts.storage, mark)
    this.mark = mark
  }

  /** Goes on with what is left; anything but damage is thrown. */
  private noteDamage(error: unknown): void {
    if (!isCommanderError(error) || error.code !== 'journal_corrupt') throw error
    const { environment } = this.parts
    this.foundDamaged = this.remainsNow().damaged(this.from, this.tail)
    environment.log.error({ code: error.code, err: error }, `a replicated segment is damaged: ${error.message}`)
  }

  private remainsNow(): SegmentRemains {
    const { remains } = leftOf(this.parts, { ...this.mark, ceiling: this.tail }, salvage(this.parts.storage), this.tail)
    assert(remains !== null, 'what is left is known')
    return remains
  }

  private damageAt(at: Lsn): CommanderError {
    const range = this.damaged.find(({ from, to }) => from <= at && at <= to) ?? { from: at, to: at }
    return new CommanderError(
      'journal_corrupt',
      `entries ${range.from} to ${range.to} of ${this.mark.stream}, segment ${this.epoch}, are damaged on this server: take them from another one`,
      { details: range },
    )
  }
}

function sizeOf(storage: SegmentParts['storage'], name: string): number {
  const file = storage.openReadOnly(name)
  try {
    return file.size()
  } finally {
    file.close()
  }
}

function trimmedBelow(from: Lsn): CommanderError {
  return new CommanderError('log_trimmed', `entries below LSN ${from} were trimmed away`, {
    details: { trimLsn: from - 1 },
  })
}
