import type { Clock, Random, Scheduler, Timer } from '../kernel/environment.ts'
import { asCommanderError } from '../kernel/errors.ts'
import type { EtcdClient } from './etcd-client.ts'
import type { GatewayBody, GatewayStream } from './etcd-gateway.ts'
import { changesIn, rangeOf } from './etcd-values.ts'
import type { MetadataWatch, WatchHandlers } from './metadata-store.ts'
import { PolledWatch } from './polled-watch.ts'
import type { MetadataListing } from './watched-values.ts'

export interface EtcdWatchOptions {
  readonly client: EtcdClient
  readonly folder: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly checkMs: number
  /** In which a stream has to begin. */
  readonly attemptMs: number
  /** Everything below a prefix, as of one revision. */
  readonly list: (prefix: string) => Promise<MetadataListing>
}

/** Until the next try, at most. */
const retryMs = 200

/**
 * A stream of events is a hint: it comes from one member, which may hang, be cut off or have compacted what is asked for. So
 * everything is listed at first, whenever the stream ends, and every now and then.
 */
export class EtcdWatch implements MetadataWatch {
  readonly #o: EtcdWatchOptions
  readonly #watch: PolledWatch
  #stream: GatewayStream | null = null
  #timer: Timer | undefined
  #isListing = false
  #isClosed = false

  constructor(options: EtcdWatchOptions, prefix: string, handlers: WatchHandlers, closed: () => void) {
    this.#o = options
    this.#watch = new PolledWatch(prefix, handlers, closed)
    this.#check()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#endStream()
    this.#watch.close()
  }

  #planCheck(afterMs: number): void {
    this.#timer?.cancel()
    if (!this.#isClosed) this.#timer = this.#o.scheduler.after(afterMs, () => this.#check())
  }

  #check(): void {
    if (this.#isListing) return
    this.#isListing = true
    this.#listAll()
      .finally(() => {
        this.#isListing = false
      })
      .then(
        () => this.#planCheck(this.#stream === null ? this.#soonMs() : this.#o.checkMs),
        () => this.#planCheck(this.#soonMs()),
      )
  }

  async #listAll(): Promise<void> {
    try {
      const listing = await this.#o.list(this.#watch.prefix)
      if (this.#isClosed) return
      // Behind what the stream has told already: the next one will not be.
      this.#watch.show(listing)
      if (this.#stream === null) this.#beginStream()
    } catch (error) {
      this.#endStream()
      this.#watch.lose(asCommanderError(error))
      throw error
    }
  }

  /** Of what comes after everything that was told. */
  #beginStream(): void {
    const { client, folder, scheduler, attemptMs } = this.#o
    const range = rangeOf(folder + this.#watch.prefix)
    const request = { create_request: { ...range, start_revision: String(this.#watch.revision + 1) } }
    const stalled = scheduler.after(attemptMs, () => this.#streamEnded(stream))
    const stream = client.stream('/v3/watch', request, {
      line: (value) => {
        stalled.cancel()
        this.#take(stream, value)
      },
      ended: () => {
        stalled.cancel()
        this.#streamEnded(stream)
      },
    })
    this.#stream = stream
  }

  #take(stream: GatewayStream, { result }: GatewayBody): void {
    if (stream !== this.#stream) return
    const answer = result as GatewayBody | undefined
    if (answer === undefined || answer['canceled'] === true) {
      // Without a leader at that member, or compacted.
      this.#streamEnded(stream)
      return
    }
    const fresh = changesIn(answer, this.#o.folder).filter(({ revision }) => revision > this.#watch.revision)
    const last = fresh.at(-1)
    if (last !== undefined)
      this.#watch.apply(
        fresh.map(({ change }) => change),
        last.revision,
      )
  }

  #streamEnded(stream: GatewayStream): void {
    if (stream !== this.#stream) return
    this.#endStream()
    this.#o.client.failed()
    this.#planCheck(this.#soonMs())
  }

  #endStream(): void {
    this.#stream?.close()
    this.#stream = null
  }

  #soonMs(): number {
    return (this.#o.random.uint32() / 2 ** 32) * retryMs
  }
}
