import type { Applied } from '../ipc/journal-protocol.ts'
import type { Journal } from '../journal/journal.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** Names and meanings are PostgreSQL's (max_wal_size, checkpoint_timeout, checkpoint_completion_target). */
export interface RetentionSettings {
  /** Default 1 GiB. */
  readonly maxJournalBytes: number
  /** Milliseconds. Default 300,000. */
  readonly checkpointTimeoutMs: number
  /** 0 to 1; default 0.9. */
  readonly checkpointCompletionTarget: number
}

export const defaultRetentionSettings: RetentionSettings = {
  maxJournalBytes: 1_073_741_824,
  checkpointTimeoutMs: 300_000,
  checkpointCompletionTarget: 0.9,
}

/** A process that follows, and the first entry that it has not been sent. */
export interface Reader {
  readonly name: string
  readonly next: Lsn
}

export interface RetentionOptions {
  readonly journal: Journal
  readonly environment: Environment
  readonly settings: RetentionSettings
  /** As the store had it when the writer started. */
  readonly checkpoint: Lsn
  readonly readers: () => Iterable<Reader>
}

const lookAgainMs = 1000

/**
 * Which segments may go, and when.
 *
 * I1. A segment goes only when the last checkpoint has passed it and the archive has it, where there is one.
 * I2. One that a reader has yet to read stays, unless the journal has reached its limit: that reader then starts again
 *     from the store.
 * I3. Stale segments go one by one, spread over the time or the bytes until the next checkpoint; all at once after a
 *     checkpoint by hand, and as soon as the limit demands it.
 */
export class Retention {
  readonly #o: RetentionOptions
  /** A checkpoint is due when so much has been written behind the last one. As PostgreSQL's CalculateCheckpointSegments. */
  readonly #dueBytes: number
  #checkpoint: Lsn
  #archived: Lsn | null = null
  /** Whether the archive has been heard of: before that nothing goes. */
  #isKnown = false
  #atOnce = false
  #since: { readonly ms: number; readonly bytes: number }
  #removed = 0
  #timer: Timer | null = null
  #left: string | null = null

  constructor(options: RetentionOptions) {
    this.#o = options
    this.#checkpoint = options.checkpoint
    const { maxJournalBytes, checkpointCompletionTarget } = options.settings
    this.#dueBytes = maxJournalBytes / (2 + checkpointCompletionTarget)
    this.#since = this.#now()
  }

  /** The store is flushed up to here, as the projection applier says. */
  get checkpoint(): Lsn {
    return this.#checkpoint
  }

  /** The archive has everything up to here; `null` without an archive. */
  get archived(): Lsn | null {
    return this.#archived
  }

  /** A checkpoint at this entry or behind it is due by the size of the journal; 0 when none is. */
  get checkpointWanted(): Lsn {
    const { journal } = this.#o
    const { sealedLsn } = journal
    if (sealedLsn <= this.#checkpoint) return lsn(0)
    return journal.isAtLimit || journal.bytesAfter(this.#checkpoint) > this.#dueBytes ? sealedLsn : lsn(0)
  }

  /** What the journal takes, and what keeps it from taking less. */
  get use(): {
    readonly firstLsn: Lsn
    readonly bytes: number
    readonly maxBytes: number
    readonly heldBy: string | null
  } {
    const { journal, settings } = this.#o
    const { firstLsn } = journal
    return { firstLsn, bytes: journal.bytesAfter(lsn(0)), maxBytes: settings.maxJournalBytes, heldBy: this.#heldBy() }
  }

  /** Of several the one that is furthest behind. */
  #heldBy(): string | null {
    const { journal, readers } = this.#o
    if (journal.removableBefore(lsn(journal.sealedLsn + 1)) === 0) return null
    let behind: readonly [string, number] = ['checkpoint', this.#checkpoint]
    if (this.#archived !== null && this.#archived < behind[1]) behind = ['archive', this.#archived]
    for (const { name, next } of readers()) if (next - 1 < behind[1]) behind = [name, next - 1]
    return journal.removableBefore(lsn(behind[1] + 1)) === 0 ? behind[0] : null
  }

  said({ checkpoint, archived, atOnce }: Applied): void {
    this.#isKnown = true
    this.#archived = archived
    if (checkpoint > this.#checkpoint) {
      this.#checkpoint = checkpoint
      this.#since = this.#now()
      this.#removed = 0
      this.#atOnce = false
    }
    this.#atOnce ||= atOnce
    this.look()
  }

  /** Removes what may go by now. */
  look(): void {
    const { journal, environment } = this.#o
    if (journal.failed !== null) return
    this.#removeStale()
    if (journal.isAtLimit) this.#removeForRoom()
    if (this.#timer !== null || journal.removableBefore(this.#staleBefore()) === 0) return
    this.#timer = environment.scheduler.after(lookAgainMs, () => {
      this.#timer = null
      this.look()
    })
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #removeStale(): void {
    const { journal, readers } = this.#o
    let before = this.#staleBefore()
    for (const { next } of readers()) if (next < before) before = next // I2
    const count = journal.removableBefore(before)
    if (count === 0) return
    const due = Math.ceil((count + this.#removed) * this.#progress()) - this.#removed // I3
    this.#remove(before, due)
  }

  /** I2: what keeps the journal from going on goes, whoever has not read it. */
  #removeForRoom(): void {
    const { journal, readers, environment } = this.#o
    const before = this.#staleBefore()
    if (journal.removableBefore(before) === 0) return
    this.#remove(before, 1)
    for (const { name, next } of readers()) {
      if (next >= journal.firstLsn || this.#left === `${name} ${next}`) continue
      this.#left = `${name} ${next}`
      environment.log.warn(
        { follower: name, next, firstLsn: journal.firstLsn },
        'a process is too far behind; it has to start again',
      )
    }
  }

  #remove(before: Lsn, most: number): void {
    if (most <= 0) return
    const { journal, environment } = this.#o
    const removed = journal.removeBefore(before, most)
    this.#removed += removed
    if (removed > 0) environment.log.info({ removed, firstLsn: journal.firstLsn }, 'stale segments are removed')
  }

  /** I1 */
  #staleBefore(): Lsn {
    if (!this.#isKnown) return lsn(0)
    return lsn(Math.min(this.#checkpoint, this.#archived ?? this.#checkpoint) + 1)
  }

  /** 0 to 1: how much of what is to be removed until the next checkpoint should be removed by now. */
  #progress(): number {
    const { checkpointCompletionTarget: target, checkpointTimeoutMs } = this.#o.settings
    if (this.#atOnce || target === 0) return 1
    const { ms, bytes } = this.#now()
    const byTime = (ms - this.#since.ms) / (checkpointTimeoutMs * target)
    const byBytes = (bytes - this.#since.bytes) / (this.#dueBytes * target)
    return Math.min(1, Math.max(byTime, byBytes))
  }

  #now(): { readonly ms: number; readonly bytes: number } {
    return { ms: this.#o.environment.clock.monotonicMs(), bytes: this.#o.journal.writtenBytes }
  }
}
