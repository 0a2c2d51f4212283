import type { Environment, Timer } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { LeasedKey } from './leased-key.ts'
import { type MetadataStore, metadataKeys } from './metadata-store.ts'

export interface MasterTurnOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  /** The node whose master this is; another process of it is another incarnation. */
  readonly id: string
  readonly incarnation: string
  readonly ttlMs: number
}

const retryMs = 500

/**
 * Which of the masters of a cluster is at work: one at a time holds a leased key, the others wait for it. A hint like all leases;
 * two that are at it for a moment do no harm, since masters only suggest.
 */
export class MasterTurn {
  readonly #o: MasterTurnOptions
  readonly #key: LeasedKey
  #isKept = false
  #isStopped = false
  #timer: Timer | null = null
  #keeping: Promise<void>

  constructor(options: MasterTurnOptions) {
    this.#o = options
    const { environment, metadata, id, incarnation, ttlMs } = options
    const value = JSON.stringify({ id, incarnation })
    const { clock } = environment
    this.#key = new LeasedKey({ store: metadata, clock, key: metadataKeys.master, value: () => value, ttlMs })
    this.#keeping = this.#keep()
  }

  get isMine(): boolean {
    return this.#isKept && this.#key.leftMs > 0
  }

  /** Another one may begin at once. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#keeping
    await this.#key.release()
  }

  async #keep(): Promise<void> {
    const { environment, ttlMs } = this.#o
    let isDone = false
    try {
      this.#isKept = await this.#key.keep(false)
      isDone = true
    } catch (error) {
      if (!isCommanderError(error)) throw error
      environment.log.warn({ error: error.message }, 'whose turn it is as master could not be settled; trying again')
    }
    if (this.#isStopped) return
    this.#timer = environment.scheduler.after(isDone ? ttlMs / 3 : retryMs, () => {
      this.#keeping = this.#keep()
    })
  }
}

/** Whose master is at work; null where it cannot be read. */
export function masterIn(value: string | undefined): { readonly id: string } | null {
  if (value === undefined) return null
  try {
    const { id } = JSON.parse(value) as { readonly id?: unknown }
    return typeof id === 'string' ? { id } : null
  } catch {
    return null
  }
}
