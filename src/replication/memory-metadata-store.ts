import type { Clock, Scheduler, Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import {
  checkSwap,
  emptyImage,
  listingOf,
  type MetadataImage,
  swapped,
  valueIn,
  withoutLeases,
} from './metadata-image.ts'
import {
  type Lease,
  leaseIsOver,
  leaseMarginOf,
  type MetadataStore,
  type MetadataValue,
  type MetadataWatch,
  metadataClosed,
  metadataUnavailable,
  type SwapOptions,
  type SwapResult,
  type WatchHandlers,
} from './metadata-store.ts'
import { PolledWatch } from './polled-watch.ts'

export interface MetadataCall {
  readonly operation: 'get' | 'list' | 'swap' | 'lease' | 'keepAlive' | 'revoke' | 'watch'
  /** A prefix for `list` and `watch`, the lease's id for leases. */
  readonly key: string
}

/**
 * `refuse`: it fails and does not happen. `loseRequest`: the same, but nobody knows. `loseAnswer`: it happens, and fails.
 * A number: a read (or a watch) sees the store as it was so many changes ago, at most 16.
 */
export type MetadataFault = 'refuse' | 'loseRequest' | 'loseAnswer' | number

/** What stands between a process and the store; every part of it may be changed by whoever plans the faults. */
export interface MemoryMetadataLink {
  /** One way, in milliseconds. Default 0: in a later turn all the same. */
  readonly delayMs?: () => number
  /** Asked when a request arrives, for `watch` with each delivery. Default: nothing fails. */
  readonly fault?: (call: MetadataCall) => MetadataFault | null
  /** Runs what an answer brings in the process that waits for it; drops it when that is dead. Default: runs it. */
  readonly deliver?: (run: () => void) => void
  /** Of the process, for its leases. Default: the store's own. */
  readonly clock?: Clock
}

const staleImagesMax = 16
/** Until a broken watch tries again. */
const watchRetryMs = 100

/** A metadata store in memory that outlives the processes that use it, each through a link of its own. */
export class MemoryMetadata {
  readonly scheduler: Scheduler
  readonly clock: Clock
  readonly watches: Set<MemoryWatch> = new Set()
  #image: MetadataImage = emptyImage
  readonly #past: MetadataImage[] = []
  readonly #leases = new Map<string, { readonly ttlMs: number; timer: Timer }>()
  #leasesMade = 0

  /** @param world - of the store itself: nothing that ends with a process. */
  constructor(world: { readonly scheduler: Scheduler; readonly clock: Clock }) {
    this.scheduler = world.scheduler
    this.clock = world.clock
  }

  open(link: MemoryMetadataLink = {}): MetadataStore {
    return new MemoryMetadataStore(this, link)
  }

  get image(): MetadataImage {
    return this.#image
  }

  /** The store some changes ago. */
  imageBefore(changes: number): MetadataImage {
    return this.#past.at(-Math.min(changes, this.#past.length)) ?? this.#image
  }

  swap(key: string, expectedRevision: number, value: string | null, lease: string | null): SwapResult {
    if (lease !== null && !this.#leases.has(lease)) throw leaseIsOver(lease)
    const { image, result } = swapped(this.#image, { key, expectedRevision, value, lease })
    this.#become(image)
    return result
  }

  grant(ttlMs: number): string {
    const id = String(++this.#leasesMade)
    this.#leases.set(id, { ttlMs, timer: this.#endsAfter(id, ttlMs) })
    return id
  }

  /** @returns whether it lives. */
  renew(id: string): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    lease.timer.cancel()
    lease.timer = this.#endsAfter(id, lease.ttlMs)
    return true
  }

  end(id: string): void {
    this.#leases.get(id)?.timer.cancel()
    this.#leases.delete(id)
    this.#become(withoutLeases(this.#image, (lease) => lease === id))
  }

  #endsAfter(id: string, ttlMs: number): Timer {
    return this.scheduler.after(ttlMs, () => this.end(id))
  }

  #become(image: MetadataImage): void {
    if (image === this.#image) return
    this.#past.push(this.#image)
    if (this.#past.length > staleImagesMax) this.#past.shift()
    this.#image = image
    for (const watch of this.watches) watch.wake()
  }
}

class MemoryMetadataStore implements MetadataStore {
  readonly location: string = 'memory:'
  readonly #metadata: MemoryMetadata
  readonly #link: MemoryMetadataLink
  readonly #watches = new Set<MemoryWatch>()
  readonly #pending = new Set<(error: CommanderError) => void>()
  #isClosed = false

  constructor(metadata: MemoryMetadata, link: MemoryMetadataLink) {
    this.#metadata = metadata
    this.#link = link
  }

  get(key: string): Promise<MetadataValue | null> {
    return this.#read({ operation: 'get', key }, (image) => valueIn(image, key))
  }

  list(prefix: string): Promise<readonly MetadataValue[]> {
    return this.#read({ operation: 'list', key: prefix }, (image) => listingOf(image, prefix).values)
  }

  async compareAndSwap(
    key: string,
    expectedRevision: number,
    value: string | null,
    { lease }: SwapOptions = {},
  ): Promise<SwapResult> {
    checkSwap(key, value)
    return this.#call({ operation: 'swap', key }, () =>
      this.#metadata.swap(key, expectedRevision, value, lease?.id ?? null),
    )
  }

  watch(prefix: string, handlers: WatchHandlers): MetadataWatch {
    const watch = new MemoryWatch(this.#metadata, this.#link, prefix, handlers, () => this.#watches.delete(watch))
    this.#watches.add(watch)
    if (this.#isClosed) watch.close()
    return watch
  }

  async lease(ttlMs: number): Promise<Lease> {
    const id = await this.#call({ operation: 'lease', key: '' }, () => this.#metadata.grant(ttlMs))
    return {
      id,
      keepAlive: async () => {
        const sentMs = this.#nowMs
        const lives = await this.#call({ operation: 'keepAlive', key: id }, () => this.#metadata.renew(id))
        return lives ? Math.max(0, sentMs + ttlMs - leaseMarginOf(ttlMs) - this.#nowMs) : 0
      },
      revoke: () => this.#call({ operation: 'revoke', key: id }, () => this.#metadata.end(id)),
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const watch of this.#watches) watch.close()
    for (const fail of this.#pending) fail(metadataClosed(this.location, 'answer'))
    this.#pending.clear()
  }

  get #nowMs(): number {
    return (this.#link.clock ?? this.#metadata.clock).monotonicMs()
  }

  #read<Result>(call: MetadataCall, run: (image: MetadataImage) => Result): Promise<Result> {
    return this.#call(call, (fault) => run(imageFor(this.#metadata, fault)))
  }

  #call<Result>(call: MetadataCall, run: (fault: MetadataFault | null) => Result): Promise<Result> {
    if (this.#isClosed) return Promise.reject(metadataClosed(this.location, call.operation))
    const { delayMs = () => 0, fault = () => null, deliver = (answer) => answer() } = this.#link
    const { scheduler } = this.#metadata
    return new Promise((resolve, reject) => {
      this.#pending.add(reject)
      scheduler.after(delayMs(), () => {
        const kind = fault(call)
        const answer = this.#carryOut(call, kind, () => run(kind), resolve, reject)
        scheduler.after(delayMs(), () =>
          deliver(() => {
            if (this.#pending.delete(reject)) answer()
          }),
        )
      })
    })
  }

  #carryOut<Result>(
    { operation, key }: MetadataCall,
    fault: MetadataFault | null,
    run: () => Result,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ): () => void {
    const failed = (outcome: 'none' | 'unknown') => () =>
      reject(metadataUnavailable(this.location, `${operation} ${key}`, 'it does not answer', outcome))
    if (fault === 'refuse') return failed('none')
    if (fault === 'loseRequest') return failed('unknown')
    try {
      const result = run()
      return fault === 'loseAnswer' ? failed('unknown') : () => resolve(result)
    } catch (error) {
      return fault === 'loseAnswer' ? failed('unknown') : () => reject(error)
    }
  }
}

/** Wakes with each change of the store. */
class MemoryWatch implements MetadataWatch {
  readonly #metadata: MemoryMetadata
  readonly #link: MemoryMetadataLink
  readonly #watch: PolledWatch
  #timer: Timer | undefined

  constructor(
    metadata: MemoryMetadata,
    link: MemoryMetadataLink,
    prefix: string,
    handlers: WatchHandlers,
    closed: () => void,
  ) {
    this.#metadata = metadata
    this.#link = link
    this.#watch = new PolledWatch(prefix, handlers, () => {
      this.#timer?.cancel()
      metadata.watches.delete(this)
      closed()
    })
    metadata.watches.add(this)
    this.wake()
  }

  /** Something may have changed. */
  wake(afterMs: number = this.#link.delayMs?.() ?? 0): void {
    this.#timer ??= this.#metadata.scheduler.after(afterMs, () => {
      this.#timer = undefined
      const { deliver = (run) => run() } = this.#link
      const { prefix } = this.#watch
      const fault = this.#link.fault?.({ operation: 'watch', key: prefix }) ?? null
      // Late, then again: the changes that it does not show yet wake nobody.
      if (fault !== null) this.wake(watchRetryMs)
      const listing = listingOf(imageFor(this.#metadata, fault), prefix)
      const error = metadataUnavailable('memory:', `watch ${prefix}`, 'it does not answer', 'none')
      deliver(() => (typeof fault === 'string' ? this.#watch.lose(error) : this.#watch.show(listing)))
    })
  }

  close(): void {
    this.#watch.close()
  }
}

const imageFor = (metadata: MemoryMetadata, fault: MetadataFault | null): MetadataImage =>
  typeof fault === 'number' && fault > 0 ? metadata.imageBefore(fault) : metadata.image
