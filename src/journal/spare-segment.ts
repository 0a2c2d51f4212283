import type { Environment, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type JournalOptions, journalLimits, segmentHeaderBytes } from './options.ts'
import { isZero } from './segment-cursor.ts'
import { nextName, spareName } from './segment-name.ts'
import type { Creation, JournalFile, JournalStorage } from './storage.ts'

/** Keeps one empty segment ready, so that a full disk can still record that it is full, and so that a change of segments need not wait. */
export class SpareSegment {
  private readonly storage: JournalStorage
  private readonly environment: Environment
  private readonly options: JournalOptions
  private ready = false
  /** Somebody has it open and has not given it its name: another one must not take its place. */
  private taken = false
  private creation: Creation | null = null
  private retry: Timer | null = null
  private waiters: (() => void)[] = []
  private stopped = false
  /** Why there is no spare. */
  failure: CommanderError | null = null

  constructor(storage: JournalStorage, environment: Environment, options: JournalOptions) {
    this.storage = storage
    this.environment = environment
    this.options = options
  }

  /** Uses a spare that an earlier run left, unless it had begun to become a segment or has another size. */
  adopt(): void {
    if (!this.storage.list().includes(spareName)) return
    this.ready = this.isUsable()
    if (!this.ready) this.storage.remove(spareName)
  }

  /** Starts to make one in the background if there is none; out of a stale segment if one is given. */
  prepare(recycled?: string): void {
    if (this.ready || this.taken || this.creation !== null || this.stopped) return
    this.retry?.cancel()
    const { segmentBytes, initZero } = this.options
    let over = false
    const creation = this.storage.create(
      spareName,
      segmentBytes,
      initZero,
      (error) => {
        over = true
        this.finished(error)
      },
      recycled,
    )
    if (!over) this.creation = creation
  }

  /** True when a stale segment would be of use now. */
  get wantsFile(): boolean {
    return !this.ready && !this.taken && this.creation === null && !this.stopped
  }

  /** Calls `run` once nothing is being made any more, and hurries what is. */
  whenSettled(run: () => void): void {
    this.creation?.hurry()
    if (this.creation === null) run()
    else this.waiters.push(run)
  }

  /**
   * An empty file, open under its present name; the caller gives it its final one. When the background was too slow, one
   * without zeros: flushes to it cost more, but an append never waits for a fill.
   * @throws CommanderError journal_full | journal_failed
   */
  take(): JournalFile {
    if (!this.ready && this.failure?.code === 'journal_full') throw this.failure
    if (!this.ready) this.storage.createNow(nextName, this.options.segmentBytes)
    const name = this.ready ? spareName : nextName
    this.taken = this.ready
    this.ready = false
    return this.storage.open(name)
  }

  /** What was taken has its final name. */
  used(): void {
    this.taken = false
  }

  /** Ends what is under way; `done` comes once nothing is. */
  stop(done: () => void): void {
    this.stopped = true
    this.retry?.cancel()
    this.creation?.cancel()
    this.whenSettled(done)
  }

  private finished(error: CommanderError | null): void {
    this.creation = null
    if (error !== null && !this.stopped) this.retryLater(error)
    this.failure = error
    this.ready = error === null
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) waiter()
  }

  private retryLater(error: CommanderError): void {
    const { log, scheduler } = this.environment
    // said once, not once for every try
    if (this.failure?.code !== error.code) log.warn({ code: error.code }, `no spare segment: ${error.message}`)
    this.retry = scheduler.after(journalLimits.spareRetryDelayMs, () => this.prepare())
  }

  private isUsable(): boolean {
    const file = this.storage.openReadOnly(spareName)
    try {
      const header = Buffer.alloc(segmentHeaderBytes)
      return file.size() === this.options.segmentBytes && file.read(header, 0) === header.length && isZero(header)
    } finally {
      file.close()
    }
  }
}
