import {
  type Lease,
  type MetadataStore,
  type MetadataValue,
  type MetadataWatch,
  metadataUnavailable,
  type SwapOptions,
  type SwapResult,
  type WatchHandlers,
} from '../../src/replication/metadata-store.ts'

/** A metadata store that its user cannot reach for as long as a test says so. */
export class CutMetadata implements MetadataStore {
  readonly #store: MetadataStore
  readonly #leases = new Map<Lease, Lease>()
  /** What watches have to tell when they are reached again. */
  #untold: (() => void)[] = []
  #isCut = false

  constructor(store: MetadataStore) {
    this.#store = store
  }

  get location(): string {
    return this.#store.location
  }

  cut(): void {
    this.#isCut = true
  }

  heal(): void {
    this.#isCut = false
    for (const tell of this.#untold.splice(0)) tell()
  }

  async get(key: string): Promise<MetadataValue | null> {
    this.#mustReach()
    return this.#store.get(key)
  }

  async list(prefix: string): Promise<readonly MetadataValue[]> {
    this.#mustReach()
    return this.#store.list(prefix)
  }

  async compareAndSwap(
    key: string,
    expectedRevision: number,
    value: string | null,
    options: SwapOptions = {},
  ): Promise<SwapResult> {
    this.#mustReach()
    const lease = options.lease === undefined ? undefined : this.#leases.get(options.lease)
    return this.#store.compareAndSwap(key, expectedRevision, value, lease === undefined ? {} : { lease })
  }

  watch(prefix: string, handlers: WatchHandlers): MetadataWatch {
    return this.#store.watch(prefix, {
      values: (changed) => {
        const tell = (): void => handlers.values(changed)
        if (this.#isCut) this.#untold.push(tell)
        else tell()
      },
      lost: (error) => handlers.lost(error),
    })
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#mustReach()
    const inner = await this.#store.lease(ttlMs)
    const lease: Lease = {
      id: inner.id,
      keepAlive: async () => {
        this.#mustReach()
        return inner.keepAlive()
      },
      revoke: async () => {
        this.#mustReach()
        return inner.revoke()
      },
    }
    this.#leases.set(lease, inner)
    return lease
  }

  /** The store is its owner's to close. */
  async close(): Promise<void> {}

  #mustReach(): void {
    if (this.#isCut) throw metadataUnavailable(this.location, 'reach anything', 'a test has cut it off', 'none')
  }
}
