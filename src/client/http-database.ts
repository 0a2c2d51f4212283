import { type ClientEvent, type ClientOutcome, isWritten } from '../ipc/call-codec.ts'
import type { ReadFloor } from '../ipc/client-protocol.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, type ErrorCode, isCommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import { assertDurability } from './asked-durability.ts'
import { bodyOrError, outcomeOf } from './http-answers.ts'
import { closedError, HttpCalls, waitMsMax } from './http-calls.ts'
import { readLines, readMessages } from './http-events.ts'
import { bodyOf, keyHeader, query, queueingHeaders, segment } from './http-names.ts'
import type { HttpNodes } from './http-nodes.ts'
import type { HttpAnswer } from './http-requester.ts'
import { HttpWorkflows } from './http-workflows.ts'
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
  WorkflowHandle,
  WorkflowSummary,
  WorkflowsOptions,
} from './options.ts'
import { ReadSession } from './read-session.ts'
import { answerAwakeable, type WorkflowConnection, workflowHandle } from './workflow-client.ts'

export interface HttpDatabaseOptions {
  readonly environment: Environment
  readonly nodes: HttpNodes
  readonly token?: string | undefined
  readonly maxInFlight?: number | undefined
  readonly timeoutMs?: number | undefined
}

const timeoutDefaultMs = 30_000
/** Each call under way has a connection of its own. */
const maxInFlightDefault = 256
const reconnectDelayMs = 250

/**
 * A client over HTTP. Calls without an idempotency key get one, so that those whose answer was lost can be asked again.
 * Calls under way at once travel on connections of their own: they take effect in any order.
 */
export class HttpDatabase implements Database, WorkflowConnection {
  readonly #nodes: HttpNodes
  readonly #session: ReadSession
  readonly #calls: HttpCalls
  readonly #environment: Environment
  readonly #timeoutMs: number
  readonly #workflows: HttpWorkflows

  constructor({ environment, nodes, token, maxInFlight, timeoutMs }: HttpDatabaseOptions) {
    this.#nodes = nodes
    this.#environment = environment
    this.#timeoutMs = timeoutMs ?? timeoutDefaultMs
    const most = Math.min(maxInFlight ?? maxInFlightDefault, limits.sessionWindowMax)
    this.#session = new ReadSession(() => nodes.count > 1)
    this.#calls = new HttpCalls({ environment, nodes, token, session: this.#session, maxInFlight: most })
    this.#workflows = new HttpWorkflows(this.#calls, environment, this.#timeoutMs)
  }

  /** Resolves once the gateway of one of the nodes has answered. @throws CommanderError `no_database` */
  async open(): Promise<this> {
    for (let left = this.#nodes.count; left > 1; left--) {
      try {
        return await this.#openCurrent()
      } catch (error) {
        if (!isCommanderError(error) || !isNobody.has(error.code)) throw error
      }
    }
    return this.#openCurrent()
  }

  async #openCurrent(): Promise<this> {
    const call = {
      method: 'GET',
      path: '/livez',
      timeoutMs: this.#timeoutMs,
      repeat: 'never',
      take: bodyOrError,
    } as const
    const { alive } = (await this.#calls.call<unknown>(call)) as { readonly alive?: unknown }
    if (alive === true) return this
    throw new CommanderError('protocol_violation', 'the URL leads to something that is not a CommanderDB; correct it')
  }

  /** As of `commanderdb status --json`. */
  status(): Promise<unknown> {
    return this.#get('/v1/status')
  }

  execute(
    aggregate: AnyAggregate | string,
    id: string,
    command: string,
    data?: unknown,
    options: ExecuteOptions = {},
  ): Promise<never> {
    return this.#execute(nameOf(aggregate), id, command, data, options) as Promise<never>
  }

  read(aggregate: AnyAggregate | string, id: string, options: ReadOptions = {}): Promise<never> {
    const path = `/v1/aggregates/${segment('aggregate', nameOf(aggregate))}/${segment('id', id)}`
    return this.#get(`${path}${query({ atLsn: options.atLsn, ...this.#floorOf(options) })}`) as Promise<never>
  }

  stream(aggregate: AnyAggregate | string, id: string, options: StreamOptions = {}): ReturnType<Database['stream']> {
    const { from: fromRevision, limit } = options
    const asked = query({ fromRevision, limit, ...this.#floorOf(options) })
    return this.#get(`${streamPath(aggregate, id)}${asked}`) as ReturnType<Database['stream']>
  }

  streamLife(aggregate: AnyAggregate | string, id: string): Promise<StreamView> {
    return this.#get(`${streamPath(aggregate, id)}/life`) as Promise<StreamView>
  }

  closeStream(aggregate: AnyAggregate | string, id: string): Promise<StreamView> {
    return this.#post(`${streamPath(aggregate, id)}:close`, null, 'always') as Promise<StreamView>
  }

  archiveStream(
    aggregate: AnyAggregate | string,
    id: string,
    { upTo }: ArchiveStreamOptions = {},
  ): Promise<StreamView> {
    return this.#post(`${streamPath(aggregate, id)}:archive${query({ upTo })}`, null, 'always') as Promise<StreamView>
  }

  deleteStream(aggregate: AnyAggregate | string, id: string): Promise<StreamView> {
    return this.#post(`${streamPath(aggregate, id)}:delete`, null, 'always') as Promise<StreamView>
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
    const { types, signal, follow = false } = options
    const left = new AbortController()
    const ended = AbortSignal.any([left.signal, this.#calls.closed, ...(signal === undefined ? [] : [signal])])
    const accept = follow ? 'text/event-stream' : 'application/x-ndjson'
    let after = options.after ?? 0
    try {
      while (!ended.aborted) {
        try {
          const path = `/v1/events${query({ after, types: types?.join(','), ...this.#floorOf(options) })}`
          const chunks = await this.#calls.stream(path, { accept }, ended, follow)
          const read = follow ? readMessages : readLines
          for await (const batch of read(chunks, after)) {
            after = batch.after
            this.#session.saw(batch.events.at(-1)?.lsn ?? 0)
            if (batch.events.length > 0) yield batch.events
          }
          if (!follow) return
        } catch (error) {
          if (ended.aborted) break
          if (!isPassing(error)) throw error
        }
        await this.#calls.sleep(reconnectDelayMs)
      }
      if (this.#calls.closed.aborted && signal?.aborted !== true) throw closedError()
    } finally {
      left.abort()
    }
  }

  projection(
    name: string,
    key: string,
    options: ReadFreshness & { readonly minLsn?: number } = {},
  ): ReturnType<Database['projection']> {
    const path = `/v1/projections/${segment('projection', name)}/${segment('key', key)}`
    return this.#get(`${path}${query({ ...this.#floorOf(options) })}`) as ReturnType<Database['projection']>
  }

  async schedules(): Promise<readonly ScheduleView[]> {
    return ((await this.#get('/v1/schedules')) as { readonly schedules: readonly ScheduleView[] }).schedules
  }

  async queues(): Promise<readonly QueueView[]> {
    return ((await this.#get('/v1/queues')) as { readonly queues: readonly QueueView[] }).queues
  }

  async projections(): Promise<readonly ProjectionView[]> {
    const { projections } = (await this.#get('/v1/projections')) as { readonly projections: readonly ProjectionView[] }
    return projections
  }

  async rebuildProjection(name: string): Promise<void> {
    await this.#post(`/v1/projections/${segment('projection', name)}:rebuild`, null)
  }

  async command(id: string, { waitMs = 0 }: { readonly waitMs?: number } = {}): Promise<CommandView> {
    const { clock } = this.#environment
    const endsAtMs = clock.monotonicMs() + waitMs
    const path = `/v1/commands/${segment('command', id)}`
    for (let leftMs = waitMs; ; leftMs = endsAtMs - clock.monotonicMs()) {
      const wait = leftMs > 0 ? Math.min(leftMs, waitMsMax) / 1000 : undefined
      const timeoutMs = this.#timeoutMs + (wait ?? 0) * 1000
      const view = (await this.#get(`${path}${query({ wait })}`, timeoutMs)) as CommandView
      if (view.status !== 'pending' || clock.monotonicMs() >= endsAtMs) return view
    }
  }

  async commands(
    state: 'parked' | 'pending',
    limit: number = limits.pageEventsMax,
    after?: number,
  ): Promise<readonly CommandView[]> {
    const answer = await this.#get(`/v1/commands${query({ state, limit, after })}`)
    return (answer as { readonly commands: readonly CommandView[] }).commands
  }

  async retryCommand(id: string): Promise<void> {
    await this.#post(`/v1/commands/${segment('command', id)}:retry`, null)
  }

  async skipCommand(id: string, reason = 'skipped by an operator'): Promise<void> {
    await this.#post(`/v1/commands/${segment('command', id)}:skip`, JSON.stringify({ reason }))
  }

  workflow(definition: AnyWorkflow | string): WorkflowHandle<unknown, never> {
    return workflowHandle(this, definition)
  }

  workflows(options: WorkflowsOptions): Promise<readonly WorkflowSummary[]> {
    return this.#workflows.list(options)
  }

  resolveAwakeable(awakeableId: string, value: unknown = null): Promise<void> {
    return answerAwakeable(this, awakeableId, { value })
  }

  rejectAwakeable(awakeableId: string, message: string): Promise<void> {
    return answerAwakeable(this, awakeableId, { error: message })
  }

  readonly runWorkflow: WorkflowConnection['runWorkflow'] = (...args) => this.#workflows.run(...args)

  readonly workflowEnd: WorkflowConnection['workflowEnd'] = (...args) => this.#workflows.end(...args)

  readonly workflowView: WorkflowConnection['workflowView'] = (...args) => this.#workflows.view(...args)

  readonly workflowStatus: WorkflowConnection['workflowStatus'] = (...args) => this.#workflows.status(...args)

  async close(): Promise<void> {
    this.#calls.close()
  }

  async #execute(
    type: string,
    id: string,
    command: string,
    data: unknown,
    options: ExecuteOptions,
  ): Promise<ClientOutcome> {
    assertDurability(options)
    const path = `/v1/aggregates/${segment('aggregate', type)}/${segment('id', id)}/commands/${segment('command', command)}`
    const { idempotencyKey, timeoutMs = this.#timeoutMs } = options
    const headers = headersOf(options, idempotencyKey ?? this.#environment.random.uuid())
    const context = { aggregate: { type, id }, isKeyGiven: idempotencyKey !== undefined }
    const take = async (answer: HttpAnswer): Promise<ClientOutcome> => {
      const outcome = await outcomeOf(answer, context)
      if (!isWritten(outcome)) this.#session.saw(outcome.lsn)
      return outcome
    }
    return this.#calls.call({ method: 'POST', path, headers, body: bodyOf(data), timeoutMs, repeat: 'always', take })
  }

  #floorOf({ minLsn, consistency }: ReadFreshness & { readonly minLsn?: number }): ReadFloor {
    const given = { ...(minLsn === undefined ? {} : { minLsn }), ...(consistency === undefined ? {} : { consistency }) }
    return { ...given, ...this.#session.floorOf({ minLsn }) }
  }

  #get(path: string, timeoutMs: number = this.#timeoutMs): Promise<unknown> {
    return this.#calls.call({ method: 'GET', path, timeoutMs, repeat: 'always', take: bodyOrError })
  }

  #post(path: string, body: string | null, repeat: 'always' | 'unsent' = 'unsent'): Promise<unknown> {
    const headers = body === null ? {} : jsonHeaders
    const timeoutMs = this.#timeoutMs
    return this.#calls.call({ method: 'POST', path, headers, body, timeoutMs, repeat, take: bodyOrError })
  }
}

const streamPath = (aggregate: AnyAggregate | string, id: string): string =>
  `/v1/streams/${segment('aggregate', nameOf(aggregate))}/${segment('id', id)}`

const jsonHeaders = { 'content-type': 'application/json' }

const nameOf = (aggregate: AnyAggregate | string): string =>
  typeof aggregate === 'string' ? aggregate : aggregate.name

function headersOf(options: ExecuteOptions, key: string): Readonly<Record<string, string>> {
  const { wait, durability, expectedRevision, metadata } = options
  const prefer = preferenceOf(wait, durability)
  return {
    ...jsonHeaders,
    'idempotency-key': keyHeader(key),
    ...(prefer === null ? {} : { prefer }),
    ...(expectedRevision === undefined ? {} : { 'if-match': `"${expectedRevision}"` }),
    ...(metadata === undefined ? {} : traceOf(metadata)),
    ...queueingHeaders(options),
  }
}

function preferenceOf(wait: ExecuteOptions['wait'], durability: ExecuteOptions['durability']): string | null {
  if (wait === 'applied') return durability === 'replicated' ? 'durability=applied, replicated' : 'durability=applied'
  const asked = durability === undefined ? [] : [`durability=${durability}`]
  const preferences = wait === 'received' ? ['respond-async', ...asked] : asked
  return preferences.length === 0 ? null : preferences.join(', ')
}

function traceOf(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { traceparent, ...others } = metadata
  const [other] = Object.keys(others)
  if (other === undefined) return traceparent === undefined ? {} : { traceparent }
  const message = `metadata "${other}" cannot go over HTTP, which carries traceparent only; connect by dataDir`
  throw new CommanderError('invalid_input', message)
}

/** Another node may be there. */
const isNobody: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['no_database', 'connection_lost'])

/** Reading goes on where it was once the database is there again. */
function isPassing(error: unknown): boolean {
  return isCommanderError(error) && (error.retryable || error.code === 'no_database')
}
