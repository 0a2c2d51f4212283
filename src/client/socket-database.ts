import {
  CallEncoder,
  type ClientEvent,
  type ClientOutcome,
  callAt,
  decodeEventBlock,
  decodeOutcome,
} from '../ipc/call-codec.ts'
import type { Channel, Transport } from '../ipc/channel.ts'
import {
  clientFrames,
  decodeFailed,
  decodeResult,
  encodeQuery,
  encodeRequest,
  eventsFlags,
  eventsFlagsOf,
  type Query,
  requestOf,
  waitModes,
} from '../ipc/client-protocol.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, fromWireError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import { commandDigest } from '../sdk/command-payload.ts'
import { EventFeed } from './event-feed.ts'
import type {
  CommandView,
  Database,
  EventsOptions,
  ExecuteOptions,
  ProjectionView,
  ReadOptions,
  StreamOptions,
} from './options.ts'

export interface SocketDatabaseOptions {
  readonly environment: Environment
  readonly transport: Transport
  readonly address: string
  readonly maxInFlight?: number | undefined
  readonly timeoutMs?: number | undefined
}

interface PendingCall {
  readonly sequence: number
  readonly resolve: (outcome: ClientOutcome) => void
  readonly reject: (error: CommanderError) => void
  readonly deadlineMs: number
  buffer: Buffer | null
  at: number
}

interface PendingQuery {
  readonly query: Query
  readonly resolve: (value: unknown) => void
  readonly reject: (error: CommanderError) => void
  readonly deadlineMs: number
  /** Asked again after a lost connection: not what changes something. */
  readonly isRepeatable: boolean
}

const timeoutDefaultMs = 30_000
const maxInFlightDefault = 4096
/** Calls that wait in the client for others to be answered. */
const waitingMax = 1_000_000
const sweepMs = 250
const reconnectDelayMs = 50
const ttlDefaultMs = 86_400_000

/**
 * A client over a Unix socket (or memory). Calls of one turn of the event loop travel in one frame; answers are matched
 * by number. The calls of this client are a session: after a lost connection those without an answer are sent again
 * under the same numbers, and the database recognises the ones that it has (RIFL, SOSP 2015).
 */
export class SocketDatabase implements Database {
  readonly #o: SocketDatabaseOptions
  readonly #session: number
  readonly #timeoutMs: number
  readonly #maxInFlight: number
  readonly #encoder = new CallEncoder()
  /** By request number, in the order of their sequences: the first is the oldest without an answer. */
  readonly #calls = new Map<number, PendingCall>()
  readonly #queries = new Map<number, PendingQuery>()
  readonly #feeds = new Map<
    number,
    { readonly feed: EventFeed; readonly follow: boolean; after: number; types: ReadonlySet<string> | null }
  >()
  #waiting: (() => void)[] = []
  /** Calls encoded in this turn. */
  #encoded: PendingCall[] = []
  #channel: Channel | null = null
  #isOpen = false
  #isClosed = false
  #sendScheduled = false
  #nextSequence = 1
  #nextQuery = 1
  #sweepTimer: Timer | null = null
  #lastError: CommanderError | null = null
  readonly #sendDue: () => void

  constructor(options: SocketDatabaseOptions) {
    this.#o = options
    const { random } = options.environment
    this.#session = (random.uint32() & 0x1fffff) * 4294967296 + random.uint32() || 1
    this.#timeoutMs = options.timeoutMs ?? timeoutDefaultMs
    this.#maxInFlight = Math.min(options.maxInFlight ?? maxInFlightDefault, limits.sessionWindowMax)
    this.#sendDue = () => {
      this.#sendScheduled = false
      this.#send()
    }
  }

  /** Resolves once the gateway has answered. @throws CommanderError `no_database` when nobody listens there. */
  async open(): Promise<this> {
    this.#connect()
    this.#sweep()
    await this.#ask({ ask: 'hello' }, true)
    return this
  }

  execute(
    aggregate: AnyAggregate | string,
    id: string,
    command: string,
    data?: unknown,
    options: ExecuteOptions = {},
  ): Promise<never> {
    return new Promise<ClientOutcome>((resolve, reject) => {
      if (this.#isClosed) return reject(closed())
      if (this.#calls.size < this.#maxInFlight) this.#call(aggregate, id, command, data, options, resolve, reject)
      else if (this.#waiting.length < waitingMax) {
        this.#waiting.push(() => this.#call(aggregate, id, command, data, options, resolve, reject))
      } else
        reject(
          new CommanderError('overloaded', `${waitingMax} calls wait in this client already; await some of them first`),
        )
    }) as Promise<never>
  }

  read(aggregate: AnyAggregate | string, id: string, options: ReadOptions = {}): Promise<never> {
    return this.#ask({ ask: 'state', aggregate: nameOf(aggregate), id, ...options }, true) as Promise<never>
  }

  stream(aggregate: AnyAggregate | string, id: string, options: StreamOptions = {}): ReturnType<Database['stream']> {
    const { from = 1, limit = limits.pageEventsMax, ...rest } = options
    return this.#ask({ ask: 'stream', aggregate: nameOf(aggregate), id, from, limit, ...rest }, true) as ReturnType<
      Database['stream']
    >
  }

  async *events(options: EventsOptions = {}): AsyncGenerator<ClientEvent> {
    for await (const batch of this.eventBatches(options)) yield* batch
  }

  async *subscribe(options: EventsOptions = {}): AsyncGenerator<ClientEvent> {
    for await (const batch of this.eventBatches({ ...options, follow: true })) yield* batch
  }

  async *eventBatches(
    options: EventsOptions & { readonly follow?: boolean } = {},
  ): AsyncGenerator<readonly ClientEvent[]> {
    const { after = 0, types, signal, follow = false } = options
    const request = this.#takeQueryNumber()
    const feed = new EventFeed()
    this.#feeds.set(request, { feed, follow, after, types: types === undefined ? null : new Set(types) })
    const abort = (): void => feed.end(null)
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) abort()
    else if (this.#isOpen) this.#askForEvents(request)
    try {
      for (let batch = await feed.next(); batch !== null; batch = await feed.next()) if (batch.length > 0) yield batch
    } finally {
      signal?.removeEventListener('abort', abort)
      if (this.#feeds.delete(request)) this.#channel?.send(clientFrames.cancel, encodeRequest(request))
      feed.end(null)
    }
  }

  projection(
    name: string,
    key: string,
    options: { readonly minLsn?: number } = {},
  ): ReturnType<Database['projection']> {
    return this.#ask({ ask: 'projection', name, key, ...options }, true) as ReturnType<Database['projection']>
  }

  projections(): Promise<readonly ProjectionView[]> {
    return this.#ask({ ask: 'projections' }, true) as Promise<readonly ProjectionView[]>
  }

  async rebuildProjection(name: string): Promise<void> {
    await this.#ask({ ask: 'rebuild', name }, false)
  }

  command(id: string, options: { readonly waitMs?: number } = {}): Promise<CommandView> {
    return this.#ask({ ask: 'command', id, ...options }, true) as Promise<CommandView>
  }

  commands(state: 'parked' | 'pending', limit: number = limits.pageEventsMax): Promise<readonly CommandView[]> {
    return this.#ask({ ask: 'commands', state, limit }, true) as Promise<readonly CommandView[]>
  }

  async retryCommand(id: string): Promise<void> {
    await this.#ask({ ask: 'retry', id }, false)
  }

  async skipCommand(id: string, reason = 'skipped by an operator'): Promise<void> {
    await this.#ask({ ask: 'skip', id, reason }, false)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#sweepTimer?.cancel()
    this.#channel?.close()
    this.#failAll(closed())
  }

  #connect(): void {
    if (this.#isClosed) return
    this.#o.transport.connect(this.#o.address, (channel) => {
      this.#channel = channel
      return {
        opened: () => this.#opened(),
        frame: (kind, body) => this.#frame(channel, kind, body),
        writable: () => this.#sendSoon(),
        closed: (error) => this.#lost(channel, error),
      }
    })
  }

  #opened(): void {
    this.#isOpen = true
    this.#lastError = null
    for (const [request, { query }] of this.#queries)
      this.#channel?.send(clientFrames.query, encodeQuery(request, query))
    for (const request of this.#feeds.keys()) this.#askForEvents(request)
    for (const { buffer, at } of this.#calls.values()) {
      if (buffer !== null) this.#channel?.send(clientFrames.call, Buffer.from(callAt(buffer, at)))
    }
    this.#sendSoon()
  }

  #lost(channel: Channel, error: CommanderError | null): void {
    if (this.#channel !== channel) return
    this.#channel = null
    this.#isOpen = false
    this.#lastError = error
    if (this.#isClosed) return
    for (const [request, { isRepeatable, reject }] of this.#queries) {
      if (isRepeatable) continue
      this.#queries.delete(request)
      reject(new CommanderError('connection_lost', 'the connection ended before the answer; look before you ask again'))
    }
    for (const [request, { query, reject }] of this.#queries) {
      // Nobody has been there yet: waiting would only hide a wrong address.
      if (query.ask !== 'hello' || error?.code !== 'no_database') continue
      this.#queries.delete(request)
      reject(error)
    }
    this.#o.environment.scheduler.after(reconnectDelayMs, () => this.#connect())
  }

  #call(
    aggregate: AnyAggregate | string,
    id: string,
    command: string,
    data: unknown,
    options: ExecuteOptions,
    resolve: (outcome: ClientOutcome) => void,
    reject: (error: CommanderError) => void,
  ): void {
    const sequence = this.#nextSequence
    const oldest = this.#calls.values().next().value
    try {
      const at = this.#encoder.add(
        {
          key: `${nameOf(aggregate)}/${id}`,
          command,
          data,
          session: this.#session,
          sequence,
          answeredBelow: oldest?.sequence ?? sequence,
          wait: waitModes[options.wait ?? 'completed'],
          writtenIsEnough: options.durability === 'written',
          idempotencyKey: this.#idempotencyKey(aggregate, id, command, data, options.idempotencyKey),
          expectedRevision: options.expectedRevision ?? null,
          metadata: options.metadata ?? null,
        },
        sequence & 0x7fffffff,
      )
      this.#nextSequence++
      const deadlineMs = this.#o.environment.clock.monotonicMs() + (options.timeoutMs ?? this.#timeoutMs)
      const call = { sequence, resolve, reject, deadlineMs, buffer: null, at }
      this.#calls.set(sequence & 0x7fffffff, call)
      this.#encoded.push(call)
      this.#sendSoon()
    } catch (error) {
      reject(error as CommanderError)
    }
  }

  #idempotencyKey(
    aggregate: AnyAggregate | string,
    id: string,
    command: string,
    data: unknown,
    key: string | undefined,
  ): Parameters<CallEncoder['add']>[0]['idempotencyKey'] {
    if (key === undefined) return null
    const digest = commandDigest(nameOf(aggregate), id, command, data)
    const ttlMs = typeof aggregate === 'string' ? ttlDefaultMs : aggregate.idempotencyTtlMs
    return { key, digest, ttlMs }
  }

  #sendSoon(): void {
    if (this.#sendScheduled) return
    this.#sendScheduled = true
    this.#o.environment.scheduler.soon(this.#sendDue)
  }

  #send(): void {
    if (this.#encoded.length === 0) return
    const buffer = this.#encoder.take()
    for (const call of this.#encoded) call.buffer = buffer
    this.#encoded = []
    // Before the connection is up it is enough to keep them: `#opened` sends what has no answer.
    if (!this.#isOpen || this.#channel === null) return
    // The gateway stamps what it gets, in memory mode this very buffer.
    this.#channel.send(clientFrames.call, buffer)
    this.#channel.flush()
  }

  #frame(channel: Channel, kind: number, body: Buffer): void {
    if (kind === clientFrames.events) {
      this.#events(channel, body)
      return
    }
    channel.release(body.length)
    switch (kind) {
      case clientFrames.outcome:
        this.#outcome(body)
        return
      case clientFrames.failed:
        this.#failed(requestOf(body), fromWireError(decodeFailed(body)))
        return
      case clientFrames.result:
        this.#settle(requestOf(body))?.resolve(decodeResult(body))
        return
      default:
        channel.close(new CommanderError('protocol_violation', `the gateway sent a frame of kind ${kind}`))
    }
  }

  #outcome(body: Buffer): void {
    const { request, outcome } = decodeOutcome(body)
    const call = this.#calls.get(request)
    if (call === undefined) {
      this.#settle(request)?.resolve(outcome)
      return
    }
    this.#finish(request)
    if (outcome.outcome === 'rejected' && outcome.code === 'revision_mismatch') {
      call.reject(new CommanderError('revision_mismatch', outcome.message, { details: outcome.details }))
    } else call.resolve(outcome)
  }

  #finish(request: number): void {
    this.#calls.delete(request)
    while (this.#waiting.length > 0 && this.#calls.size < this.#maxInFlight) this.#waiting.shift()?.()
  }

  #failed(request: number, error: CommanderError): void {
    const call = this.#calls.get(request)
    if (call === undefined) {
      this.#settle(request)?.reject(error)
      this.#feeds.get(request)?.feed.end(error)
      return
    }
    const nowMs = this.#o.environment.clock.monotonicMs()
    const details = error.details as { retryAfterMs?: number } | undefined
    if (error.retryable && details?.retryAfterMs !== undefined && nowMs + details.retryAfterMs < call.deadlineMs) {
      // Spread, so that those who were sent away do not come back all at once.
      const delayMs = details.retryAfterMs * (0.1 + (this.#o.environment.random.uint32() / 4294967296) * 0.9)
      this.#o.environment.scheduler.after(delayMs, () => this.#again(request))
      return
    }
    this.#finish(request)
    call.reject(error)
  }

  #again(request: number): void {
    const call = this.#calls.get(request)
    if (call?.buffer == null || !this.#isOpen) return
    this.#channel?.send(clientFrames.call, Buffer.from(callAt(call.buffer, call.at)))
  }

  #ask(query: Query, isRepeatable: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(closed())
      const request = this.#takeQueryNumber()
      const deadlineMs = this.#o.environment.clock.monotonicMs() + this.#timeoutMs
      this.#queries.set(request, { query, resolve, reject, deadlineMs, isRepeatable })
      if (this.#isOpen) this.#channel?.send(clientFrames.query, encodeQuery(request, query))
    })
  }

  /** Queries have the upper half of the request numbers, calls the lower one. */
  #takeQueryNumber(): number {
    return ((this.#nextQuery++ & 0x7fffffff) | 0x80000000) >>> 0
  }

  #settle(request: number): PendingQuery | undefined {
    const query = this.#queries.get(request)
    this.#queries.delete(request)
    return query
  }

  #askForEvents(request: number): void {
    const reading = this.#feeds.get(request)
    if (reading === undefined) return
    const query = { ask: 'events', after: reading.after, follow: reading.follow } as const
    this.#channel?.send(clientFrames.query, encodeQuery(request, query))
  }

  #events(channel: Channel, body: Buffer): void {
    const reading = this.#feeds.get(requestOf(body))
    if (reading === undefined) {
      channel.release(body.length)
      return
    }
    const events: ClientEvent[] = []
    reading.after = Math.max(reading.after, decodeEventBlock(body, reading.after, reading.types, events))
    reading.feed.push(events, body.length, channel)
    if ((eventsFlagsOf(body) & eventsFlags.last) !== 0) reading.feed.end(null)
  }

  #sweep(): void {
    this.#sweepTimer = this.#o.environment.scheduler.after(sweepMs, () => {
      const nowMs = this.#o.environment.clock.monotonicMs()
      for (const [request, call] of this.#calls) {
        if (call.deadlineMs > nowMs) continue
        this.#finish(request)
        call.reject(this.#late('the command', 'its outcome is unknown: ask again with the same idempotency key'))
      }
      for (const [request, { deadlineMs, reject }] of this.#queries) {
        if (deadlineMs > nowMs) continue
        this.#queries.delete(request)
        reject(this.#late('the query', 'ask again'))
      }
      this.#sweep()
    })
  }

  #late(what: string, advice: string): CommanderError {
    if (!this.#isOpen && this.#lastError !== null) return this.#lastError
    return new CommanderError('timeout', `${what} had no answer within ${this.#timeoutMs} ms; ${advice}`)
  }

  #failAll(error: CommanderError): void {
    for (const { reject } of this.#calls.values()) reject(error)
    for (const { reject } of this.#queries.values()) reject(error)
    for (const { feed } of this.#feeds.values()) feed.end(error)
    this.#calls.clear()
    this.#queries.clear()
    this.#feeds.clear()
  }
}

const nameOf = (aggregate: AnyAggregate | string): string =>
  typeof aggregate === 'string' ? aggregate : aggregate.name

const closed = (): CommanderError =>
  new CommanderError('connection_lost', 'this connection was closed; connect again', { retryable: false })
