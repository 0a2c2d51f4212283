import type { Environment, Timer } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { type Lease, type MetadataStore, metadataKeys } from './metadata-store.ts'

export interface LeaseHolder {
  readonly id: string
  readonly incarnation: string
  readonly epoch: number
}

const retryMs = 500

/**
 * Says by a lease that the leader of a stream lives. A hint: while it cannot be kept the leader goes on, until somebody else has the
 * next epoch.
 */
export class LeaderLease {
  readonly #environment: Environment
  readonly #metadata: MetadataStore
  readonly #stream: string
  readonly #holder: LeaseHolder
  readonly #ttlMs: number
  #lease: Lease | null = null
  #timer: Timer | null = null
  #stopped = false

  constructor(environment: Environment, metadata: MetadataStore, stream: string, holder: LeaseHolder, ttlMs: number) {
    this.#environment = environment
    this.#metadata = metadata
    this.#stream = stream
    this.#holder = holder
    this.#ttlMs = ttlMs
    void this.#keep()
  }

  /** The key goes at once, so that others need not wait for its time to be over. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#lease?.revoke().catch(() => {})
  }

  async #keep(): Promise<void> {
    const isKept = await this.#try()
    if (this.#stopped) return
    this.#timer = this.#environment.scheduler.after(isKept ? this.#ttlMs / 3 : retryMs, () => void this.#keep())
  }

  async #try(): Promise<boolean> {
    try {
      if (this.#lease !== null && (await this.#lease.keepAlive()) > 0) return true
      this.#lease = await this.#metadata.lease(this.#ttlMs)
      return await this.#say(this.#lease)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      this.#environment.log.warn({ error: error.message }, 'the lease of the leader could not be renewed; trying again')
      this.#lease = null
      return false
    }
  }

  /** Over the former leader's, which may be there until its time is over. */
  async #say(lease: Lease): Promise<boolean> {
    const key = metadataKeys.lease(this.#stream)
    const former = await this.#metadata.get(key)
    const value = JSON.stringify(this.#holder)
    const { swapped } = await this.#metadata.compareAndSwap(key, former?.revision ?? 0, value, { lease })
    if (!swapped) this.#lease = null
    return swapped
  }
}
