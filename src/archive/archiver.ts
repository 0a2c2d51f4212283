import type { JournalStorage } from '../journal/storage.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../kernel/identifiers.ts'
import type { ArchiveIdentity } from './archive-identity.ts'
import type { ArchiveStatus } from './archive-target.ts'
import { newestTimeline, type SealedSegment, sealedSegments, waitingOf } from './sealed-segments.ts'

/** What a database remembers of its archive, so that it need not compare everything again at each start. */
export interface ArchiveMemory {
  /** Where it was. */
  readonly location: string
  /** Which archive that was: `createdAt` of its identity. */
  readonly createdAt: string
  /** The last segment that it got. */
  readonly segNo: number
  readonly lastLsn: number
  readonly timeline: number
}

/** The archive as the archiver sees it: `SegmentVault`. */
export interface Vault {
  readonly location: string
  open(mayBegin: boolean): Promise<{ readonly identity: ArchiveIdentity; readonly warning: string | null }>
  missing(): Promise<CommanderError | null>
  store(segment: SealedSegment): Promise<'created' | 'same'>
  close(): Promise<void>
}

export interface ArchiverOptions {
  readonly environment: Environment
  readonly storage: JournalStorage
  readonly vault: Vault
  readonly memory: ArchiveMemory | null
  /** To be kept for the next start; losing the newest costs only time. */
  readonly remember: (memory: ArchiveMemory) => void
  /** `archivedLsn` has moved. */
  readonly moved: () => void
  /** The archive shows that the journal lacks acknowledged entries: the database must not start. Told only before `isAsked`. */
  readonly missing: (error: CommanderError) => void
}

interface Waiter {
  readonly lsn: Lsn
  readonly done: (error: CommanderError | null) => void
}

/** How long the journal is left alone between two looks for sealed segments: they come far less often than flushes. */
const lookDelayMs = 200
const retryDelayMsMin = 1000
const retryDelayMsMax = 60_000
/** The start waits no longer for an archive to say what it holds. */
const askedMs = 3000
/** A segment that takes longer is reported as a failure, though it goes on. */
const slowMs = 120_000

/**
 * Brings each sealed segment to the archive, in order, one at a time.
 *
 * I1. A segment is brought only once its seal is known to be flushed: its bytes can no longer change.
 * I2. `archivedLsn` moves only behind what the archive has said to hold, with the bytes of this journal.
 * I3. Whatever fails is tried again, later and later, and said once: commands never wait for it.
 * I4. What the archive holds is looked at before anything is brought. Where it goes on behind the end of the journal nothing is.
 */
export class Archiver {
  readonly #o: ArchiverOptions
  #flushed: Lsn = noLsn
  #archived: Lsn = noLsn
  #segNo = 0
  #timeline = 0
  #identity: ArchiveIdentity | null = null
  #running: Promise<void> | null = null
  #timer: Timer | null = null
  #slow: Timer | null = null
  #failures = 0
  #error: CommanderError | null = null
  #waiters: Waiter[] = []
  #stopped = false
  #isAsked = false
  #patience: Timer | null = null

  constructor(options: ArchiverOptions) {
    this.#o = options
  }

  get archivedLsn(): Lsn {
    return this.#archived
  }

  /** The archive has said whether it goes on behind this journal, or has failed to in time: the database may start. */
  get isAsked(): boolean {
    return this.#isAsked
  }

  start(): void {
    this.#patience = this.#o.environment.scheduler.after(askedMs, () => {
      this.#isAsked = true
    })
    this.#step()
  }

  /** The journal is flushed up to here. */
  flushed(upTo: Lsn): void {
    this.#flushed = upTo
    if (this.#timer !== null || this.#running !== null || this.#stopped) return
    this.#timer = this.#o.environment.scheduler.after(lookDelayMs, () => this.#step())
  }

  /** Calls back when everything up to there is archived, or when the next try fails. */
  whenArchived(upTo: Lsn, done: (error: CommanderError | null) => void): void {
    if (upTo <= this.#archived) return done(null)
    this.#waiters.push({ lsn: upTo, done })
    if (this.#running === null) this.#step()
  }

  status(): ArchiveStatus {
    const { vault, storage } = this.#o
    const error = this.#error
    return {
      location: vault.location,
      archivedLsn: this.#archived,
      ...waitingOf(storage, this.#segNo),
      failures: this.#failures,
      error: error === null ? null : { code: error.code, message: error.message },
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    this.#slow?.cancel()
    this.#patience?.cancel()
    this.#tellWaiters(new CommanderError('not_ready', 'the database is stopping; archive again when it has started'))
    await this.#o.vault.close()
    await this.#running
  }

  #step(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#running !== null || this.#stopped) return
    this.#running = this.#try().then(
      (isMore) => this.#ended(isMore),
      (error: unknown) => this.#failed(error),
    )
  }

  /** True when there may be more to do at once. */
  async #try(): Promise<boolean> {
    if (this.#identity === null) await this.#open()
    const segment = sealedSegments(this.#o.storage, this.#segNo, this.#flushed)[0] // I1
    if (segment === undefined) return false
    this.#slow = this.#o.environment.scheduler.after(slowMs, () => this.#note(tooSlow(this.#o.vault.location, segment)))
    const result = await this.#o.vault.store(segment)
    this.#stored(segment, result)
    return true
  }

  async #open(): Promise<void> {
    const { vault, memory, environment, storage } = this.#o
    const isKnown = memory !== null && memory.location === vault.location
    const { identity, warning } = await vault.open(!isKnown)
    const missing = await vault.missing() // I4
    if (missing !== null) {
      if (!this.#isAsked) this.#o.missing(missing)
      throw missing
    }
    this.#isAsked = true
    this.#identity = identity
    this.#timeline = newestTimeline(storage)
    environment.log.info({ location: vault.location, createdAt: identity.createdAt }, 'the archive is open')
    if (warning !== null) environment.log.warn({ location: vault.location }, warning)
    // A timeline that is new was cut off somewhere in what is remembered: then all that is here is compared again.
    if (memory === null || memory.createdAt !== identity.createdAt || memory.timeline < this.#timeline) return
    this.#segNo = memory.segNo
    this.#move(lsn(memory.lastLsn))
  }

  #stored(segment: SealedSegment, result: 'created' | 'same'): void {
    const { environment, vault, remember } = this.#o
    const { segNo, name, baseLsn, lastLsn } = segment
    const { log } = environment
    if (this.#archived > noLsn && baseLsn > this.#archived + 1) {
      const gap = { firstLsn: this.#archived + 1, lastLsn: baseLsn - 1, location: vault.location }
      log.warn(
        gap,
        'the archive has a gap: these entries left the journal before they were archived; take a new backup',
      )
    }
    log.info({ segment: name, lastLsn, result }, 'a segment is archived')
    this.#segNo = segNo
    if (this.#identity === null) return
    const { createdAt } = this.#identity
    remember({ location: vault.location, createdAt, segNo, lastLsn, timeline: this.#timeline })
    this.#move(lastLsn)
  }

  /** I2. */
  #move(archived: Lsn): void {
    this.#archived = archived
    this.#o.moved()
    const ready = this.#waiters.filter((waiter) => waiter.lsn <= archived)
    this.#waiters = this.#waiters.filter((waiter) => waiter.lsn > archived)
    for (const { done } of ready) done(null)
  }

  #ended(isMore: boolean): void {
    this.#running = null
    this.#slow?.cancel()
    if (this.#error !== null)
      this.#o.environment.log.info({ location: this.#o.vault.location }, 'the archive is well again')
    this.#error = null
    this.#failures = 0
    if (this.#stopped) return
    if (isMore) this.#step()
  }

  /** I3. */
  #failed(cause: unknown): void {
    this.#running = null
    this.#slow?.cancel()
    if (this.#stopped) return
    const error = asCommanderError(cause)
    this.#failures++
    this.#isAsked = true
    this.#note(error)
    this.#tellWaiters(error)
    const { scheduler, random } = this.#o.environment
    const longestMs = Math.min(retryDelayMsMax, retryDelayMsMin * 2 ** Math.min(this.#failures - 1, 10))
    this.#timer = scheduler.after(longestMs * (0.5 + random.uint32() / 2 ** 33), () => this.#step())
  }

  #note(error: CommanderError): void {
    const isNew = this.#error?.code !== error.code || this.#error.message !== error.message
    this.#error = error
    if (!isNew) return
    const { location } = this.#o.vault
    this.#o.environment.log.warn(
      { location, code: error.code, error: error.message },
      `the archive fails, and segments are kept until it does not: ${error.message}`,
    )
  }

  #tellWaiters(error: CommanderError): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const { done } of waiters) done(error)
  }
}

function tooSlow(location: string, { name }: SealedSegment): CommanderError {
  return new CommanderError(
    'archive_unavailable',
    `the archive ${location} has not taken segment ${name} for ${slowMs / 1000} seconds; check whether it hangs`,
  )
}
