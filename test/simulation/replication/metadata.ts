import type { Suggestion } from '../../../src/replication/master-state.ts'
import type { StreamMeta } from '../../../src/replication/stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import type { Truth } from './truth.ts'
import { type Network, Process, type World } from './world.ts'

export interface Recorded {
  readonly meta: StreamMeta
  readonly revision: number
}

export type SwapResult =
  | { readonly kind: 'swapped'; readonly revision: number }
  | { readonly kind: 'conflict'; readonly current: Recorded }

export interface Seen extends Recorded {
  readonly isLeaseHeld: boolean
  readonly suggestion: Suggestion | null
}

export interface MetadataSettings {
  readonly staleReads: number
  readonly lostSwaps: number
  readonly leaseMs: number
}

const timeoutMs = 150

/** One record, changed by compare-and-swap alone. Reads may be old; answers get lost, after the swap or before it. */
export class Metadata extends Process {
  suggestion: Suggestion | null = null
  isHealed = false
  readonly #network: Network
  readonly #truth: Truth
  readonly #settings: MetadataSettings
  readonly #history: Recorded[]
  #text: string
  #leaseUntilMs = 0

  constructor(world: World, network: Network, truth: Truth, settings: MetadataSettings, meta: StreamMeta) {
    super(world, 'metadata', 0)
    this.#network = network
    this.#truth = truth
    this.#settings = settings
    this.#text = encodeStreamMeta(meta)
    this.#history = [{ meta, revision: 1 }]
  }

  get current(): Recorded {
    return this.#history.at(-1) as Recorded
  }

  read(from: Process, done: (seen: Seen) => void): void {
    const answer = (): Seen => ({
      ...this.#seen(),
      isLeaseHeld: this.#leaseUntilMs > this.world.nowMs,
      suggestion: this.suggestion,
    })
    this.#network.call(from, this, timeoutMs, answer, (seen) => {
      if (seen !== null) done(seen)
    })
  }

  #seen(): Recorded {
    const { random } = this.world
    if (this.isHealed || !random.chance(this.#settings.staleReads)) return this.current
    return this.#history[Math.max(0, this.#history.length - random.integer(1, 4))] as Recorded
  }

  swap(from: Process, expectedRevision: number, meta: StreamMeta, done: (result: SwapResult | null) => void): void {
    const text = encodeStreamMeta(meta)
    const { random } = this.world
    const isLost = !this.isHealed && random.chance(this.#settings.lostSwaps)
    // The answer is lost, and the swap may be made long after the sender gave it up.
    if (isLost) {
      if (random.chance(0.7))
        this.world.after(random.integer(0, 800), () => void this.#swap(from, expectedRevision, text))
      from.after(timeoutMs, () => done(null))
      return
    }
    this.#network.call(from, this, timeoutMs, () => this.#swap(from, expectedRevision, text), done)
  }

  #swap(from: Process, expectedRevision: number, text: string): SwapResult {
    const { current } = this
    if (current.revision !== expectedRevision) return { kind: 'conflict', current }
    const before = decodeStreamMeta(this.#text)
    const meta = decodeStreamMeta(text)
    this.#text = text
    this.#truth.recorded(before, meta)
    const revision = current.revision + 1
    this.#history.push({ meta, revision })
    this.world.note(
      this.name,
      `${from.name} swapped to epoch ${meta.epoch}, ${meta.segments.length} segments, trim ${meta.trimLsn}`,
    )
    return { kind: 'swapped', revision }
  }

  keepAlive(from: Process): void {
    this.#network.send(from, this, () => {
      this.#leaseUntilMs = this.world.nowMs + this.#settings.leaseMs
    })
  }

  suggest(from: Process, suggestion: Suggestion): void {
    this.#network.send(from, this, () => {
      this.suggestion = suggestion
    })
  }
}
