import type { CommanderError } from '../kernel/errors.ts'
import type { MetadataChange, MetadataWatch, WatchHandlers } from './metadata-store.ts'
import { type MetadataListing, WatchedValues } from './watched-values.ts'

/** A watch by whoever looks again and again: it is shown everything, or told that nothing can be seen. */
export class PolledWatch implements MetadataWatch {
  readonly prefix: string
  readonly #handlers: WatchHandlers
  readonly #told: WatchedValues
  readonly #closed: () => void
  /** It is told even when there is nothing to tell: at first, and when it is back. */
  #owes = true
  #isLost = false
  #isClosed = false

  constructor(prefix: string, handlers: WatchHandlers, closed: () => void) {
    this.prefix = prefix
    this.#handlers = handlers
    this.#told = new WatchedValues(prefix)
    this.#closed = closed
  }

  /** The revision that everything up to it was told; -1 at first. */
  get revision(): number {
    return this.#told.revision
  }

  show(listing: MetadataListing): void {
    if (this.#isClosed) return
    const changes = this.#told.replace(listing)
    if (changes === null || (changes.length === 0 && !this.#owes)) return
    this.#owes = false
    this.#isLost = false
    this.#handlers.values(changes)
  }

  /** What has changed since all that was told, and nothing else. */
  apply(changes: readonly MetadataChange[], revision: number): void {
    if (this.#isClosed) return
    const fresh = this.#told.apply(changes, revision)
    if (fresh.length > 0) this.#handlers.values(fresh)
  }

  lose(error: CommanderError): void {
    if (this.#isClosed || this.#isLost) return
    this.#isLost = true
    this.#owes = true
    this.#handlers.lost(error)
  }

  close(): void {
    this.#isClosed = true
    this.#closed()
  }
}
