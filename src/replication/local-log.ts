import type { CommanderError } from '../kernel/errors.ts'
import { type Epoch, type Lsn, noLsn } from '../kernel/identifiers.ts'
import type { SegmentSummary, ServerLog } from './server-log.ts'

interface Flush {
  readonly promise: Promise<Lsn>
  /** What comes while it is under way shares the next one. */
  next: Flush | null
}

/** The log of one host that all nodes of a process share: flushes of a segment one after the other, and whoever waits is told of them. */
export class LocalLog {
  readonly log: ServerLog
  readonly #flushes = new Map<string, Flush>()
  readonly #waiting = new Set<() => void>()

  constructor(log: ServerLog) {
    this.log = log
  }

  /** What everybody may read: on one host that is what is flushed. */
  committed(stream: string): Lsn {
    return this.newest(stream)?.flushed ?? noLsn
  }

  newest(stream: string): SegmentSummary | null {
    return this.log.segments(stream).at(-1) ?? null
  }

  /** Everything that is written by now. @throws CommanderError `server_poisoned` */
  flush(stream: string, segmentEpoch: Epoch): Promise<Lsn> {
    const key = `${segmentEpoch}/${stream}`
    const running = this.#flushes.get(key)
    if (running === undefined) return this.#begin(key, () => this.#flush(stream, segmentEpoch)).promise
    running.next ??= this.#after(running, key, () => this.#flush(stream, segmentEpoch))
    return running.next.promise
  }

  /** Once more is committed, or something else has changed. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  tell(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }

  #begin(key: string, run: () => Promise<Lsn>): Flush {
    const promise = run()
    const flush: Flush = { promise, next: null }
    this.#flushes.set(key, flush)
    const done = (): void => {
      if (this.#flushes.get(key) === flush) this.#flushes.delete(key)
      this.tell()
    }
    promise.then(done, done)
    return flush
  }

  #after(before: Flush, key: string, run: () => Promise<Lsn>): Flush {
    const then = (): Promise<Lsn> => this.#begin(key, run).promise
    return { promise: before.promise.then(then, then), next: null }
  }

  #flush(stream: string, segmentEpoch: Epoch): Promise<Lsn> {
    return new Promise((resolve, reject) => {
      this.log.flush(stream, segmentEpoch, (flushed: Lsn, error: CommanderError | null) =>
        error === null ? resolve(flushed) : reject(error),
      )
    })
  }
}
