import type { Clock, Scheduler, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { FlushOptions } from './options.ts'

/** What the schedule needs of the journal. */
export interface Flushable {
  readonly writtenLsn: Lsn
  readonly flushedLsn: Lsn
  readonly writtenBytes: number
  flush(done: (flushed: Lsn, error: CommanderError | null) => void): void
}

export interface FlushScheduleOptions {
  readonly journal: Flushable
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly options: FlushOptions
  readonly flushed: (flushed: Lsn) => void
  readonly failed: (error: CommanderError) => void
}

/**
 * Group commit: one flush is under way at a time, and what is written meanwhile shares the next one.
 * A failed flush is never tried again: the pages that it left behind may be lost although a second flush succeeds
 * (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
 */
export class FlushSchedule {
  readonly #o: FlushScheduleOptions
  #flushing = false
  #wanted = false
  #stopped = false
  #flushedBytes = 0
  #timer: Timer | null = null
  #timerDueMs = 0

  constructor(options: FlushScheduleOptions) {
    this.#o = options
    this.#flushedBytes = options.journal.writtenBytes
  }

  /** A batch was written. */
  written(somebodyWaits: boolean): void {
    if (this.#stopped) return
    const { options, journal } = this.#o
    if (somebodyWaits && options.durability === 'flushed') this.#want(options.commitDelayMicros / 1000)
    else if (journal.writtenBytes - this.#flushedBytes >= options.flushAfterBytes) this.#want(0)
    else this.#after(options.writerDelayMs)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = null
  }

  #want(delayMs: number): void {
    if (this.#flushing) {
      this.#wanted = true
      return
    }
    if (delayMs > 0) this.#after(delayMs)
    else this.#flush()
  }

  /** Unless a flush is due before that anyway. */
  #after(delayMs: number): void {
    const dueMs = this.#o.clock.monotonicMs() + delayMs
    if (this.#timer !== null && this.#timerDueMs <= dueMs) return
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    this.#timer = this.#o.scheduler.after(delayMs, this.#due)
  }

  readonly #due = (): void => {
    this.#timer = null
    if (this.#flushing) this.#wanted = true
    else if (this.#o.journal.writtenLsn > this.#o.journal.flushedLsn) this.#flush()
  }

  #flush(): void {
    if (this.#stopped) return
    this.#timer?.cancel()
    this.#timer = null
    this.#flushing = true
    this.#wanted = false
    const covered = this.#o.journal.writtenBytes
    this.#o.journal.flush((flushed, error) => {
      this.#flushing = false
      if (error !== null) {
        this.stop()
        this.#o.failed(error)
        return
      }
      this.#flushedBytes = covered
      this.#o.flushed(flushed)
      if (this.#wanted) this.#flush()
    })
  }
}
