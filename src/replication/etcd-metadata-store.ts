import type { Clock, Random, Scheduler } from '../kernel/environment.ts'
import { type EtcdCall, EtcdClient, EtcdGone, revisionOf } from './etcd-client.ts'
import type { EtcdGateway, GatewayBody } from './etcd-gateway.ts'
import { base64, integerOf, rangeOf, valuesIn } from './etcd-values.ts'
import { EtcdWatch } from './etcd-watch.ts'
import { checkSwap } from './metadata-image.ts'
import {
  type Lease,
  leaseIsOver,
  leaseMarginOf,
  type MetadataStore,
  type MetadataValue,
  type MetadataWatch,
  metadataClosed,
  type SwapOptions,
  type SwapResult,
  type WatchHandlers,
} from './metadata-store.ts'
import type { MetadataListing } from './watched-values.ts'

export interface EtcdMetadataOptions {
  readonly gateway: EtcdGateway
  /** In front of every key; ends in `/`. Clusters that share an etcd have different ones. */
  readonly folder: string
  /** For people. */
  readonly location: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** How long one member may take for an answer. Default 1000. */
  readonly attemptMs?: number
  /** How long it may take until any member answers. Default 4000: an election of etcd's takes one or two seconds. */
  readonly patienceMs?: number
  /** How often a watch looks whether it has missed anything. Default 2000. */
  readonly checkMs?: number
}

const attemptMsDefault = 1000
const patienceMsDefault = 4000
const checkMsDefault = 2000
/** Values in one answer of a list. */
const pageValues = 100

/** A metadata store in etcd. Reads are linearizable, so that they are late only where they are under way. */
export class EtcdMetadataStore implements MetadataStore {
  readonly location: string
  readonly #o: EtcdMetadataOptions
  readonly #client: EtcdClient
  readonly #watches = new Set<EtcdWatch>()
  #isClosed = false

  constructor(options: EtcdMetadataOptions) {
    this.#o = options
    this.location = options.location
    const { attemptMs = attemptMsDefault, patienceMs = patienceMsDefault } = options
    this.#client = new EtcdClient({ ...options, attemptMs, patienceMs })
  }

  async get(key: string): Promise<MetadataValue | null> {
    const body = { key: base64(this.#o.folder + key) }
    const answer = await this.#call({ ...read, operation: `get ${key}`, path: '/v3/kv/range', body })
    return valuesIn(answer, this.#o.folder)[0] ?? null
  }

  async list(prefix: string): Promise<readonly MetadataValue[]> {
    return (await this.#list(prefix)).values
  }

  async compareAndSwap(
    key: string,
    expectedRevision: number,
    value: string | null,
    { lease }: SwapOptions = {},
  ): Promise<SwapResult> {
    checkSwap(key, value)
    const name = base64(this.#o.folder + key)
    const bound = lease === undefined ? {} : { lease: lease.id }
    const change =
      value === null
        ? { request_delete_range: { key: name } }
        : { request_put: { key: name, value: base64(value), ...bound } }
    const body = {
      compare: [{ key: name, target: 'MOD', result: 'EQUAL', mod_revision: String(expectedRevision) }],
      success: [change],
      failure: [{ request_range: { key: name } }],
    }
    const call = { operation: `swap ${key}`, path: '/v3/kv/txn', body, isRepeatable: false, tellsRevision: true }
    const answer = await this.#call(call, lease)
    if (answer['succeeded'] === true) return { swapped: true, revision: revisionOf(answer) }
    const [response] = (answer['responses'] ?? []) as readonly { readonly response_range?: GatewayBody }[]
    return { swapped: false, current: valuesIn(response?.response_range ?? {}, this.#o.folder)[0] ?? null }
  }

  watch(prefix: string, handlers: WatchHandlers): MetadataWatch {
    if (this.#isClosed) return { close: () => {} }
    const { checkMs = checkMsDefault, attemptMs = attemptMsDefault } = this.#o
    const list = (below: string): Promise<MetadataListing> => this.#list(below, 0)
    const options = { ...this.#o, client: this.#client, checkMs, attemptMs, list }
    const watch = new EtcdWatch(options, prefix, handlers, () => this.#watches.delete(watch))
    this.#watches.add(watch)
    return watch
  }

  /** etcd counts leases in seconds, and none is shorter than its own election. */
  async lease(ttlMs: number): Promise<Lease> {
    const body = { TTL: String(Math.ceil(ttlMs / 1000)) }
    const granted = await this.#call({ ...hint, operation: 'take a lease', path: '/v3/lease/grant', body })
    const id = String(granted['ID'])
    const nowMs = (): number => this.#o.clock.monotonicMs()
    return {
      id,
      keepAlive: async () => {
        const sentMs = nowMs()
        const call = { ...hint, operation: 'keep a lease', path: '/v3/lease/keepalive', body: { ID: id } }
        const { result } = await this.#call(call)
        // One that is over is answered all the same, without a time.
        const leftMs = Math.min(integerOf((result as { TTL?: string } | undefined)?.TTL) * 1000, ttlMs)
        return Math.max(0, sentMs + leftMs - leaseMarginOf(leftMs) - nowMs())
      },
      revoke: async () => {
        const call = { ...hint, operation: 'revoke a lease', path: '/v3/lease/revoke', body: { ID: id } }
        await this.#call(call).catch((error: unknown) => {
          if (!isLease(error)) throw error
        })
      },
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const watch of this.#watches) watch.close()
    this.#client.close()
  }

  async #list(prefix: string, patienceMs?: number): Promise<MetadataListing> {
    for (;;) {
      try {
        return await this.#listPages(prefix, patienceMs === undefined ? {} : { patienceMs })
      } catch (error) {
        // It was compacted between two pages.
        if (!(error instanceof EtcdGone)) throw error
      }
    }
  }

  /** All of them as of the revision of the first. */
  async #listPages(prefix: string, patience: { readonly patienceMs?: number }): Promise<MetadataListing> {
    const { folder } = this.#o
    const range = { ...rangeOf(folder + prefix), limit: String(pageValues) }
    const call = { ...read, ...patience, operation: `list ${prefix}`, path: '/v3/kv/range' }
    const first = await this.#call({ ...call, body: range })
    const revision = revisionOf(first)
    const values = [...valuesIn(first, folder)]
    for (let page = first; page['more'] === true; ) {
      const key = base64(`${folder}${values.at(-1)?.key}\0`)
      page = await this.#call({ ...call, body: { ...range, key, revision: String(revision) } })
      values.push(...valuesIn(page, folder))
    }
    return { values, revision }
  }

  async #call(call: EtcdCall, lease?: Lease): Promise<GatewayBody> {
    if (this.#isClosed) throw metadataClosed(this.location, call.operation)
    try {
      return await this.#client.call(call)
    } catch (error) {
      throw lease !== undefined && isLease(error) ? leaseIsOver(lease.id) : error
    }
  }
}

const read = { isRepeatable: true, tellsRevision: true } as const
const hint = { isRepeatable: true, tellsRevision: false } as const

const isLease = (error: unknown): boolean => error instanceof EtcdGone && error.what === 'lease'
