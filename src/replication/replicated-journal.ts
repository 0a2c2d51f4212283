import type { Journal } from '../journal/journal.ts'
import { assert } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { ReplicationLeader } from './replication-leader.ts'

export type { AppendedBatch, ReplicationLeader } from './replication-leader.ts'

type FlushDone = (flushedLsn: Lsn, error: CommanderError | null) => void

/** The cache is flushed this often, and after so much, so that old segments of it may go: nobody waits for it. */
const cacheFlushMs = 1000
const cacheFlushBytes = 16_777_216
/** So much is sent though nobody waits for it yet: who waits later does not wait for all of it. */
const unsentBytesMax = 65_536
/** At a stop, what is under way has so long to be committed. */
const closeWaitMs = 5000

/**
 * The journal of a node whose stream is kept by journal servers, as its one writer holds it. Local segments are a cache of
 * the stream: **written** is what they have, **flushed** what is committed.
 *
 * I1. While another node leads, only what is committed is appended: written is flushed.
 * I2. While this node leads, `flush` is done once everything that was written then is committed. What nobody waits for goes to the
 *     servers with what somebody does wait for: a message costs each of them a wake-up, a write and a flush.
 * I3. Once the lead is lost or the cache cannot be written, nothing is appended any more, and a flush is never done.
 */
export class ReplicatedJournal implements Journal {
  /** As of the last `flush` that was done: whoever waits for it hears of it by that. */
  flushedLsn: Lsn
  readonly #cache: Journal
  readonly #environment: Environment
  #leader: ReplicationLeader | null = null
  /** Called when the journal fails while nobody waits for a flush. */
  readonly #lost: (error: CommanderError) => void
  #waiting: { readonly target: Lsn; readonly done: FlushDone } | null = null
  #isSettling = false
  #cacheFailure: CommanderError | null = null
  #cacheTimer: Timer | null = null
  #isCacheFlushing = false
  /** Not to be put off any longer. */
  #isCacheFlushDue = false
  #cacheFlushedBytes = 0
  #unsentBytes = 0
  #hasToldLoss = false
  #closing: (() => void) | null = null
  #awaited: { readonly at: Lsn; readonly resolve: () => void }[] = []

  /** @param lost the lead or the cache is lost: the process must end, and begin again as one that follows */
  constructor(cache: Journal, environment: Environment, lost: (error: CommanderError) => void) {
    this.#cache = cache
    this.#environment = environment
    this.#lost = lost
    this.#cacheFlushedBytes = cache.writtenBytes
    this.flushedLsn = cache.writtenLsn
  }

  /** From now on this node leads the stream, which ends where the cache does. */
  lead(leader: ReplicationLeader): void {
    assert(this.#leader === null, 'a node comes to lead once')
    const { committed } = leader
    assert(committed === this.writtenLsn, `the cache ends at ${this.writtenLsn}, the stream at ${committed}`)
    this.#leader = leader
    leader.onMoved(() => this.#moved())
  }

  /** Resolves once everything up to `at` is written here. */
  reaches(at: Lsn): Promise<void> {
    if (this.writtenLsn >= at) return Promise.resolve()
    return new Promise((resolve) => this.#awaited.push({ at, resolve }))
  }

  get firstLsn(): Lsn {
    return this.#cache.firstLsn
  }

  get writtenLsn(): Lsn {
    return this.#cache.writtenLsn
  }

  get writtenBytes(): number {
    return this.#cache.writtenBytes
  }

  get lastDigest(): Buffer {
    return this.#cache.lastDigest
  }

  get timeline(): number {
    return this.#cache.timeline
  }

  get failed(): CommanderError | null {
    return this.#leader?.failed ?? this.#cache.failed ?? this.#cacheFailure
  }

  get isAtLimit(): boolean {
    return this.#cache.isAtLimit
  }

  get sealedLsn(): Lsn {
    return this.#cache.sealedLsn
  }

  hasRoomFor(payloadBytes: number): boolean {
    return this.#cache.hasRoomFor(payloadBytes) && (this.#leader?.hasRoom ?? true)
  }

  bytesAfter(after: Lsn): number {
    return this.#cache.bytesAfter(after)
  }

  append(payload: Buffer, firstLsn: Lsn, entryCount: number, committedLsn: Lsn, useReserve = false): void {
    this.#mustBeUsable()
    if (this.#leader?.hasRoom === false) throw tooManyUnderWay(this.flushedLsn, this.writtenLsn)
    const { sealedLsn } = this.#cache
    this.#cache.append(payload, firstLsn, entryCount, committedLsn, useReserve)
    this.#leader?.append({ firstLsn, entryCount, payload })
    this.#unsentBytes += payload.length
    if (this.#unsentBytes >= unsentBytesMax) this.#send()
    if (this.#awaited.length > 0) this.#tellReached()
    // Sealed segments may go once it is flushed that they are: at the limit everything waits for that.
    if (this.#cache.sealedLsn > sealedLsn) this.#flushCacheSoon()
    else this.#flushCacheLater()
  }

  flush(done: FlushDone): void {
    assert(this.#waiting === null && this.#closing === null, 'one flush at a time, none after close')
    this.#waiting = { target: this.writtenLsn, done }
    this.#send()
    this.#settleSoon()
  }

  removableBefore(beforeLsn: Lsn): number {
    return this.#cache.removableBefore(this.#bounded(beforeLsn))
  }

  removeBefore(beforeLsn: Lsn, most?: number): number {
    this.#mustBeUsable()
    return this.#cache.removeBefore(this.#bounded(beforeLsn), most)
  }

  switchSegment(): void {
    this.#mustBeUsable()
    this.#cache.switchSegment()
  }

  /** What is under way has a while to be committed. The mark of a clean stop is the cache's: it says nothing about the stream. */
  close(done: (error: CommanderError | null) => void): void {
    assert(this.#closing === null, 'the journal is closed')
    const timer = this.#environment.scheduler.after(closeWaitMs, () => this.#close(done))
    this.#closing = () => {
      timer.cancel()
      this.#close(done)
    }
    this.#send()
    this.#settleSoon()
  }

  get #committed(): Lsn {
    return this.#leader?.committed ?? this.writtenLsn // I1
  }

  /** I2. */
  #send(): void {
    this.#unsentBytes = 0
    this.#leader?.flush()
  }

  #tellReached(): void {
    const awaited = this.#awaited
    this.#awaited = awaited.filter(({ at }) => at > this.writtenLsn)
    for (const { at, resolve } of awaited) if (at <= this.writtenLsn) resolve()
  }

  #mustBeUsable(): void {
    assert(this.#closing === null, 'the journal is closed')
    const { failed } = this
    if (failed !== null) throw failed // I3
  }

  /** Of what is not committed nothing goes. */
  #bounded(beforeLsn: Lsn): Lsn {
    return lsn(Math.min(beforeLsn, this.flushedLsn))
  }

  #moved(): void {
    this.#settle()
    const { failed } = this
    if (failed === null || this.#hasToldLoss || this.#closing !== null) return
    this.#hasToldLoss = true
    this.#lost(failed)
  }

  #settleSoon(): void {
    if (this.#isSettling) return
    this.#isSettling = true
    this.#environment.scheduler.soon(() => {
      this.#isSettling = false
      this.#settle()
    })
  }

  #settle(): void {
    const { failed } = this
    const waiting = this.#waiting
    if (waiting !== null && (failed !== null || this.#committed >= waiting.target)) {
      this.#waiting = null
      this.flushedLsn = this.#committed
      waiting.done(this.flushedLsn, failed)
    }
    if (this.#closing !== null && (failed !== null || this.#committed >= this.writtenLsn)) this.#closing()
  }

  #close(done: (error: CommanderError | null) => void): void {
    const waiting = this.#waiting
    this.#waiting = null
    this.#closing = () => {}
    this.#cacheTimer?.cancel()
    this.flushedLsn = this.#committed
    const { failed, flushedLsn, writtenLsn } = this
    const error = failed ?? (flushedLsn < writtenLsn ? notCommitted(flushedLsn, writtenLsn) : null)
    waiting?.done(flushedLsn, error)
    this.#cache.close((cacheError) => done(error ?? cacheError))
  }

  #flushCacheSoon(): void {
    this.#isCacheFlushDue = true
    if (!this.#isCacheFlushing) this.#flushCache()
  }

  #flushCacheLater(): void {
    if (this.#isCacheFlushing) return
    if (this.writtenBytes - this.#cacheFlushedBytes >= cacheFlushBytes) this.#flushCache()
    else this.#cacheTimer ??= this.#environment.scheduler.after(cacheFlushMs, () => this.#flushCache())
  }

  #flushCache(): void {
    this.#cacheTimer?.cancel()
    this.#cacheTimer = null
    if (this.#closing !== null || this.#cache.failed !== null) return
    this.#isCacheFlushing = true
    this.#isCacheFlushDue = false
    const covered = this.writtenBytes
    this.#cache.flush((_flushed, error) => {
      this.#isCacheFlushing = false
      this.#cacheFlushedBytes = covered
      if (error !== null) this.#cacheFailure = error
      if (error !== null) this.#moved()
      else if (this.#isCacheFlushDue) this.#flushCache()
      else if (this.writtenBytes > covered) this.#flushCacheLater()
    })
  }
}

const tooManyUnderWay = (committed: Lsn, written: Lsn): CommanderError =>
  new CommanderError(
    'journal_full',
    `the entries ${committed + 1} to ${written} wait for the journal servers, and nothing more is taken before they acknowledge some: ` +
      'look at the journal servers, of which too few answer',
    { details: { committed, written } },
  )

const notCommitted = (committed: Lsn, written: Lsn): CommanderError =>
  new CommanderError(
    'indeterminate',
    `the entries ${committed + 1} to ${written} were not committed before the stop; the next leader has them, or not`,
    { details: { committed, written } },
  )
