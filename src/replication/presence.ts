import type { Environment, Timer } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import type { Lease, MetadataStore } from './metadata-store.ts'

export interface PresenceOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly key: string
  readonly ttlMs: number
  /** What it says by now; written again when it has changed. */
  readonly value: () => string
}

const retryMs = 500

/**
 * Says that its holder lives, under a key that goes with its lease. A hint: while it cannot be kept its holder goes on. One that was
 * there before, of a former life or of somebody else, is replaced.
 */
export class Presence {
  readonly #o: PresenceOptions
  #lease: Lease | null = null
  #said: string | null = null
  #timer: Timer | null = null
  #isStopped = false

  constructor(options: PresenceOptions) {
    this.#o = options
    void this.#keep()
  }

  /** The key goes at once, so that others need not wait for its time to be over. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    // What is not revoked ends by itself.
    await this.#lease?.revoke().catch(() => {})
  }

  async #keep(): Promise<void> {
    const isKept = await this.#try()
    if (this.#isStopped) return
    const { environment, ttlMs } = this.#o
    this.#timer = environment.scheduler.after(isKept ? ttlMs / 3 : retryMs, () => void this.#keep())
  }

  async #try(): Promise<boolean> {
    const { metadata, environment, key, ttlMs } = this.#o
    try {
      if (this.#lease === null || (await this.#lease.keepAlive()) <= 0) {
        this.#said = null
        this.#lease = await metadata.lease(ttlMs)
      }
      return await this.#say(this.#lease)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      environment.log.warn({ key, error: error.message }, `the lease of ${key} could not be renewed; trying again`)
      this.#lease = null
      return false
    }
  }

  async #say(lease: Lease): Promise<boolean> {
    const { metadata, key, value } = this.#o
    const text = value()
    if (text === this.#said) return true
    const former = await metadata.get(key)
    const { swapped } = await metadata.compareAndSwap(key, former?.revision ?? 0, text, { lease })
    this.#said = swapped ? text : null
    return swapped
  }
}
