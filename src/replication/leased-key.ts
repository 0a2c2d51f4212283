import type { Clock } from '../kernel/environment.ts'
import { asCommanderError } from '../kernel/errors.ts'
import { type Lease, leaseMarginOf, type MetadataStore, type MetadataValue } from './metadata-store.ts'

export interface LeasedKeyOptions {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly key: string
  /** What it says by now, unlike that of anybody else; written again when it has changed. */
  readonly value: () => string
  readonly ttlMs: number
}

/**
 * A key that says that its holder lives, for as long as it does. Its owner calls `keep` a few times in each time to live, one
 * call after the other. What the key says is a hint; nobody may decide anything by it.
 */
export class LeasedKey {
  readonly #o: LeasedKeyOptions
  #lease: Lease | null = null
  #untilMs = 0

  constructor(options: LeasedKeyOptions) {
    this.#o = options
  }

  get isTaken(): boolean {
    return this.#lease !== null
  }

  /** For how long others may take the holder for alive, by its own clock. */
  get leftMs(): number {
    return this.#lease === null ? 0 : Math.max(0, this.#untilMs - this.#o.clock.monotonicMs())
  }

  /**
   * @param mayReplace - whether the value of somebody else is replaced
   * @returns whether the key has our value now
   * @throws CommanderError `metadata_unavailable`; `not_found`: the lease ended meanwhile, try again
   */
  async keep(mayReplace: boolean): Promise<boolean> {
    if (this.#lease !== null) {
      const leftMs = await this.#lease.keepAlive()
      this.#untilMs = this.#o.clock.monotonicMs() + leftMs
      if (leftMs === 0) this.#lease = null
    }
    const value = this.#o.value()
    const found = await this.#o.store.get(this.#o.key)
    if (found?.value === value && this.#lease !== null) return true
    const isOthers = found !== null && found.value !== value
    return isOthers && !mayReplace ? false : this.#put(found, value)
  }

  /** It ends at once, or, where the store cannot be reached, when its time is over. */
  async release(): Promise<void> {
    const lease = this.#lease
    this.#lease = null
    await lease?.revoke().catch((error: unknown) => {
      if (asCommanderError(error).code !== 'metadata_unavailable') throw error
    })
  }

  async #put(found: MetadataValue | null, value: string): Promise<boolean> {
    const { store, clock, key, ttlMs } = this.#o
    const sentMs = clock.monotonicMs()
    const isNew = this.#lease === null
    const lease = this.#lease ?? (await store.lease(ttlMs))
    // From here on it has to be released, whatever becomes of the swap.
    this.#lease = lease
    if (isNew) this.#untilMs = sentMs + ttlMs - leaseMarginOf(ttlMs)
    try {
      const result = await store.compareAndSwap(key, found?.revision ?? 0, value, { lease })
      return result.swapped || result.current?.value === value
    } catch (error) {
      // The lease was over before it was used.
      if (asCommanderError(error).code === 'not_found') this.#lease = null
      throw error
    }
  }
}
