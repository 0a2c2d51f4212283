import type { Environment, Timer } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { LeasedKey, type LeasedKeyOptions } from './leased-key.ts'

export interface PresenceOptions extends Omit<LeasedKeyOptions, 'clock'> {
  readonly environment: Environment
}

const retryMs = 500

/**
 * Says that its holder lives, from its making to its stop. While that cannot be kept its holder goes on. What was there before, of a
 * former life or of somebody else, is replaced.
 */
export class Presence {
  readonly #o: PresenceOptions
  readonly #key: LeasedKey
  #keeping: Promise<boolean>
  #timer: Timer | null = null
  #isStopped = false

  constructor(options: PresenceOptions) {
    this.#o = options
    this.#key = new LeasedKey({ ...options, clock: options.environment.clock })
    // Not within this call: what it says may be of what is just being made.
    this.#keeping = Promise.resolve().then(() => this.#keep())
  }

  /** The key goes at once, so that others need not wait for its time to be over. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#keeping
    await this.#key.release()
  }

  async #keep(): Promise<boolean> {
    const { environment, ttlMs } = this.#o
    const isKept = await this.#try()
    if (this.#isStopped) return isKept
    this.#timer = environment.scheduler.after(isKept ? ttlMs / 3 : retryMs, () => {
      this.#keeping = this.#keep()
    })
    return isKept
  }

  async #try(): Promise<boolean> {
    try {
      return await this.#key.keep(true)
    } catch (error) {
      if (!isCommanderError(error)) throw error
      const { environment, key } = this.#o
      environment.log.warn({ key, error: error.message }, `the lease of ${key} could not be renewed; trying again`)
      return false
    }
  }
}
