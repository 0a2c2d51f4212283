import { type ClientEvent, type ClientOutcome, decodeOutcome, isWritten } from '../ipc/call-codec.ts'
import type { Channel, Transport } from '../ipc/channel.ts'
import { appliedOf, clientFrames, decodeFailed, decodeResult, type Query, requestOf } from '../ipc/client-protocol.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, fromWireError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import { CallPipeline, nameOf } from './call-pipeline.ts'
import { EventFeeds } from './event-feeds.ts'
import { GatewayConnection } from './gateway-connection.ts'
import { closed, lateCommand, lateQuery } from './late-errors.ts'
import { leaderNamedBy } from './named-leader.ts'
import type {
  ArchiveStreamOptions,
  CommandView,
  Database,
  EventsOptions,
  ExecuteOptions,
  ProjectionView,
  QueueView,
  ReadFreshness,
  ReadOptions,
  ScheduleView,
  StreamOptions,
  StreamView,
  WorkflowEnd,
  WorkflowHandle,
  WorkflowStartOptions,
  WorkflowSummary,
  WorkflowsOptions,
  WorkflowView,
  WorkflowWaitOptions,
} from './options.ts'
import { PendingQueries } from './pending-queries.ts'
import { ReadSession } from './read-session.ts'
import {
  answerAwakeable,
  ended,
  notEnded,
  startData,
  type WorkflowConnection,
  workflowHandle,
} from './workflow-client.ts'

export interface SocketDatabaseOptions {
  readonly environment: Environment
  readonly transport: Transport
  /** Of the gateways of one database, at least one: another one is tried when one does not answer. */
  readonly addresses: readonly string[]
  readonly maxInFlight?: number | undefined
  readonly timeoutMs?: number | undefined
}

const timeoutDefaultMs = 30_000
const maxInFlightDefault = 4096
const sweepMs = 250

/**
 * A client over Unix sockets (or memory): one connection, which it makes again when it is lost; to the node that leads, when
 * the other side says that it is another one.
 */
export class SocketDatabase implements Database, WorkflowConnection {
  readonly #o: SocketDatabaseOptions
  readonly #timeoutMs: number
  readonly #calls: CallPipeline
  readonly #queries = new PendingQueries()
  readonly #session = new ReadSession(() => this.#connection.isSeveral)
  readonly #feeds = new EventFeeds(this.#session)
  readonly #connection: GatewayConnection
  #isClosed = false
  #sweepTimer: Timer | null = null

  constructor(options: SocketDatabaseOptions) {
    this.#o = options
    this.#timeoutMs = options.timeoutMs ?? timeoutDefaultMs
    const { environment, transport, addresses } = options
    this.#connection = new GatewayConnection({
      environment,
      transport,
      addresses,
      opened: (channel) => {
        this.#queries.sendAll(channel)
        this.#feeds.askAll(channel)
        this.#calls.sendAll(channel)
      },
      frame: (channel, kind, body) => this.#frame(channel, kind, body),
      writable: (channel) => this.#calls.writable(channel),
      lost: (error) => this.#queries.lost(error),
    })
    this.#calls = new CallPipeline({
      environment: options.environment,
      maxInFlight: Math.min(options.maxInFlight ?? maxInFlightDefault, limits.sessionWindowMax),
      timeoutMs: this.#timeoutMs,
      channel: () => this.#connection.channel,
    })
  }

  /** Resolves once the gateway has answered. @throws CommanderError `no_database` when nobody listens there. */
  async open(): Promise<this> {
    this.#connection.connect()
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
    if (this.#isClosed) return Promise.reject(closed())
    return this.#calls.execute(aggregate, id, command, data, options) as Promise<never>
  }

  read(aggregate: AnyAggregate | string, id: string, options: ReadOptions = {}): Promise<never> {
    const query = {
      ask: 'state',
      aggregate: nameOf(aggregate),
      id,
      ...options,
      ...this.#session.floorOf(options),
    } as const
    return this.#ask(query, true) as Promise<never>
  }

  stream(aggregate: AnyAggregate | string, id: string, options: StreamOptions = {}): ReturnType<Database['stream']> {
    const { from = 1, limit = limits.pageEventsMax, ...rest } = options
    const query = {
      ask: 'stream',
      aggregate: nameOf(aggregate),
      id,
      from,
      limit,
      ...rest,
      ...this.#session.floorOf(options),
    } as const
    return this.#ask(query, true) as ReturnType<Database['stream']>
  }

  streamLife(aggregate: AnyAggregate | string, id: string): Promise<StreamView> {
    return this.#ask({ ask: 'streamLife', aggregate: nameOf(aggregate), id }, true) as Promise<StreamView>
  }

  closeStream(aggregate: AnyAggregate | string, id: string): Promise<StreamView> {
    return this.#ask({ ask: 'closeStream', aggregate: nameOf(aggregate), id }, true) as Promise<StreamView>
  }

  archiveStream(aggregate: AnyAggregate | string, id: string, options: ArchiveStreamOptions = {}): Promise<StreamView> {
    const query = { ask: 'archiveStream', aggregate: nameOf(aggregate), id, ...options } as const
    return this.#ask(query, true) as Promise<StreamView>
  }

  deleteStream(aggregate: AnyAggregate | string, id: string): Promise<StreamView> {
    return this.#ask({ ask: 'deleteStream', aggregate: nameOf(aggregate), id }, true) as Promise<StreamView>
  }

  async *events(options: EventsOptions = {}): AsyncGenerator<ClientEvent> {
    for await (const batch of this.eventBatches(options)) yield* batch
  }

  async *subscribe(options: EventsOptions = {}): AsyncGenerator<ClientEvent> {
    for await (const batch of this.eventBatches({ ...options, follow: true })) yield* batch
  }

  eventBatches(options: EventsOptions & { readonly follow?: boolean } = {}): AsyncGenerator<readonly ClientEvent[]> {
    return this.#feeds.read(this.#queries.takeNumber(), options, () => this.#connection.channel)
  }

  projection(
    name: string,
    key: string,
    options: ReadFreshness & { readonly minLsn?: number } = {},
  ): ReturnType<Database['projection']> {
    const query = { ask: 'projection', name, key, ...options, ...this.#session.floorOf(options) } as const
    return this.#ask(query, true) as ReturnType<Database['projection']>
  }

  schedules(): Promise<readonly ScheduleView[]> {
    return this.#ask({ ask: 'schedules' }, true) as Promise<readonly ScheduleView[]>
  }

  queues(): Promise<readonly QueueView[]> {
    return this.#ask({ ask: 'queues' }, true) as Promise<readonly QueueView[]>
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

  commands(
    state: 'parked' | 'pending',
    limit: number = limits.pageEventsMax,
    after: number = 0,
  ): Promise<readonly CommandView[]> {
    return this.#ask({ ask: 'commands', state, limit, after }, true) as Promise<readonly CommandView[]>
  }

  async retryCommand(id: string): Promise<void> {
    await this.#ask({ ask: 'retry', id }, false)
  }

  async skipCommand(id: string, reason: string = 'skipped by an operator'): Promise<void> {
    await this.#ask({ ask: 'skip', id, reason }, false)
  }

  workflow(definition: AnyWorkflow | string): WorkflowHandle<unknown, never> {
    return workflowHandle(this, definition)
  }

  workflows({ limit = limits.pageEventsMax, ...rest }: WorkflowsOptions): Promise<readonly WorkflowSummary[]> {
    return this.#ask({ ask: 'workflows', limit, ...rest }, true) as Promise<readonly WorkflowSummary[]>
  }

  resolveAwakeable(awakeableId: string, value: unknown = null): Promise<void> {
    return answerAwakeable(this, awakeableId, { value })
  }

  rejectAwakeable(awakeableId: string, message: string): Promise<void> {
    return answerAwakeable(this, awakeableId, { error: message })
  }

  async runWorkflow(
    name: string,
    id: string,
    input: unknown,
    options: WorkflowStartOptions & WorkflowWaitOptions,
  ): Promise<WorkflowEnd> {
    if (this.#isClosed) throw closed()
    const run = this.#calls.execute(workflowType(name), id, 'start', startData(input), { ...options, wait: 'ended' })
    return ended(name, id, await run.catch(this.#named(name, id, options)))
  }

  async workflowEnd(name: string, id: string, options: WorkflowWaitOptions): Promise<WorkflowEnd> {
    const outcome = this.#ask({ ask: 'workflowEnd', name, id }, true, options.timeoutMs)
    return ended(name, id, (await outcome.catch(this.#named(name, id, options))) as ClientOutcome)
  }

  /** Says which workflow has not ended in time, and in which. */
  #named(name: string, id: string, { timeoutMs = this.#timeoutMs }: WorkflowWaitOptions): (error: unknown) => never {
    return (error) => {
      throw error === lateEnd ? notEnded(name, id, timeoutMs) : error
    }
  }

  workflowView(name: string, id: string): Promise<WorkflowView> {
    return this.#ask({ ask: 'workflow', name, id }, true) as Promise<WorkflowView>
  }

  workflowStatus(name: string, id: string): Promise<WorkflowSummary> {
    return this.#ask({ ask: 'workflowRecord', name, id }, true) as Promise<WorkflowSummary>
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#sweepTimer?.cancel()
    this.#connection.close()
    const error = closed()
    this.#calls.rejectAll(error)
    this.#queries.rejectAll(error)
    this.#feeds.failAll(error)
  }

  #ask(query: Query, isRepeatable: boolean, timeoutMs: number = this.#timeoutMs): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closed())
    const deadlineMs = this.#o.environment.clock.monotonicMs() + timeoutMs
    return this.#queries.ask(query, isRepeatable, deadlineMs, this.#connection.channel)
  }

  #frame(channel: Channel, kind: number, body: Buffer): void {
    if (kind === clientFrames.events) {
      this.#feeds.receive(channel, body)
      return
    }
    channel.release(body.length)
    switch (kind) {
      case clientFrames.outcome: {
        const { request, outcome } = decodeOutcome(body)
        if (!isWritten(outcome)) this.#session.saw(outcome.lsn)
        if (!this.#calls.outcome(request, outcome)) this.#queries.resolve(request, outcome)
        return
      }
      case clientFrames.failed:
        this.#failed(requestOf(body), fromWireError(decodeFailed(body)))
        return
      case clientFrames.result:
        this.#session.saw(appliedOf(body))
        this.#queries.resolve(requestOf(body), decodeResult(body))
        return
      default:
        channel.close(new CommanderError('protocol_violation', `the gateway sent a frame of kind ${kind}`))
    }
  }

  #failed(request: number, error: CommanderError): void {
    const socket = leaderNamedBy(error)?.socket
    if (socket !== undefined) {
      this.#queries.refused(request)
      if (this.#connection.goTo(socket)) return
    }
    if (this.#calls.failed(request, error)) return
    this.#queries.reject(request, error)
    this.#feeds.fail(request, error)
  }

  #sweep(): void {
    this.#sweepTimer = this.#o.environment.scheduler.after(sweepMs, () => {
      const nowMs = this.#o.environment.clock.monotonicMs()
      const { trouble, channel } = this.#connection
      this.#calls.rejectLate(nowMs, (waitsForEnd) => (waitsForEnd ? lateEnd : lateCommand(this.#timeoutMs, trouble)))
      this.#queries.rejectLate(
        nowMs,
        (ask) => (ask === 'workflowEnd' ? lateEnd : lateQuery(this.#timeoutMs, trouble)),
        channel,
      )
      const isAnyoneWaiting = this.#calls.isWaiting || this.#queries.isWaiting
      if (this.#connection.look(isAnyoneWaiting)) void this.#ask({ ask: 'hello' }, true).catch(() => {})
      this.#sweep()
    })
  }
}

/** Stands for the one that names the workflow: who sweeps does not know it. */
const lateEnd: CommanderError = new CommanderError('timeout', 'the workflow has not ended in time')
