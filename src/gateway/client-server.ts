import { entryEnd } from '../actions/entry-layout.ts'
import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import {
  clientFrames,
  decodeQuery,
  encodeFailed,
  encodeOutcomeHeader,
  encodeResult,
  type Query,
  type ReadFloor,
  requestOf,
} from '../ipc/client-protocol.ts'
import { unreachable } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { asCommanderError, CommanderError, toWireError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { type ArchivedElsewhere, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import type { ApplyWaiter } from './apply-waiter.ts'
import type { CallOutcome, Replier } from './call.ts'
import { checkQuery } from './check-query.ts'
import { isLong, isPostponable, PostponedQuestions, questionLimits } from './client-questions.ts'
import { EventReadings } from './event-readings.ts'
import type { Gateway } from './gateway.ts'
import { HeldCalls } from './held-calls.ts'
import { type Later, laterAnswer } from './later-answers.ts'
import { commandLsn, type Queries } from './queries.ts'
import { queuesOf, schedulesOf } from './queueing-views.ts'
import { StalledClient, stalledLooks, tooManyConnections } from './stalled-client.ts'
import type { StreamOperations } from './stream-operations.ts'
import type { WorkflowReads } from './workflow-reads.ts'

export interface ClientServerOptions {
  readonly environment: Environment
  readonly gateway: Gateway
  readonly queries: Queries
  readonly waiter: ApplyWaiter
  readonly streams: StreamOperations
  readonly workflows: WorkflowReads
  /** Asks the projection applier, which is another process, to rebuild a projection. */
  readonly rebuild: (name: string, done: (error: CommanderError | null) => void) => void
  /** How long a client may take nothing. Default `limits.stalledClientMs`. */
  readonly stalledClientMs?: number
}

/** Serves clients over a Unix socket (or memory): one connection, many calls under way. */
export class ClientServer {
  readonly #o: ClientServerOptions
  readonly #connections = new Set<ClientConnection>()
  readonly #stalledMs: number
  #watchTimer: Timer | null = null

  constructor(options: ClientServerOptions) {
    this.#o = options
    this.#stalledMs = options.stalledClientMs ?? limits.stalledClientMs
    options.gateway.onApplied(() => {
      for (const connection of this.#connections) connection.storeApplied()
    })
  }

  get connections(): number {
    return this.#connections.size
  }

  accept(channel: Channel): ChannelHandlers {
    const connection = new ClientConnection(channel, this.#o)
    if (this.#connections.size >= limits.clientConnectionsMax) channel.close(tooManyConnections())
    else this.#connections.add(connection)
    if (this.#watchTimer === null) this.#watchLater()
    return {
      frame: (kind, body) => connection.frame(kind, body),
      writable: () => connection.writable(),
      closed: () => {
        connection.close()
        this.#connections.delete(connection)
      },
    }
  }

  #watchLater(): void {
    this.#watchTimer = this.#o.environment.scheduler.after(this.#stalledMs / stalledLooks, () => {
      this.#watchTimer = null
      for (const connection of this.#connections) connection.stalled.cutOffIfStalled(this.#stalledMs)
      if (this.#connections.size > 0) this.#watchLater()
    })
  }
}

class ClientConnection implements Replier {
  readonly stalled: StalledClient
  readonly #channel: Channel
  readonly #o: ClientServerOptions
  readonly #readings: EventReadings
  readonly #postponed = new PostponedQuestions()
  readonly #calls: HeldCalls
  #longUnderWay = 0
  #isClosed = false

  constructor(channel: Channel, options: ClientServerOptions) {
    this.stalled = new StalledClient(channel, options.environment.log)
    this.#channel = channel
    this.#o = options
    this.#calls = new HeldCalls(channel, (request, wait, body, at) =>
      options.gateway.submit(this, request, wait, body, at),
    )
    this.#readings = new EventReadings({
      channel,
      log: options.queries.log,
      scheduler: options.environment.scheduler,
      bringBack: (elsewhere, request, goOn) => this.#bringBack(elsewhere, request, goOn),
      failed: (request, error) => this.failed(request, error),
    })
  }

  frame(kind: number, body: Buffer): void {
    if (kind === clientFrames.call) return this.#calls.add(body)
    this.#channel.release(body.length)
    if (kind === clientFrames.query) this.#question(requestOf(body), decodeQuery(body))
    else if (kind === clientFrames.cancel) this.#cancel(requestOf(body))
    else this.#channel.close(new CommanderError('protocol_violation', `a client sent a frame of kind ${kind}`))
  }

  isListening(): boolean {
    return !this.#isClosed
  }

  close(): void {
    this.#isClosed = true
    this.#readings.clear()
    this.#postponed.clear()
    this.#calls.clear()
    this.#o.gateway.owed.forget(this)
    this.#o.gateway.forgetWaits(this)
  }

  get isFull(): boolean {
    return !this.#isClosed && !this.#channel.writable
  }

  completed(request: number, outcome: CallOutcome): void {
    const { entry, offset } = outcome
    const header = encodeOutcomeHeader({
      request,
      code: outcome.code,
      durability: outcome.durability,
      flags: outcome.isDuplicate ? 1 : 0,
      commandLsn: outcome.commandLsn,
      endLsn: outcome.endLsn,
      firstPosition: outcome.firstPosition,
    })
    if (entry === null) this.#channel.send(clientFrames.outcome, header)
    else this.#channel.send(clientFrames.outcome, header, entry.subarray(offset, entryEnd(entry, offset)))
  }

  failed(request: number, error: CommanderError): void {
    this.#channel.send(clientFrames.failed, encodeFailed(request, toWireError(error)))
  }

  flush(): void {
    this.#channel.flush()
  }

  /** It takes more: on with what it has to get. */
  writable(): void {
    this.stalled.took()
    this.#o.gateway.owed.takesMore(this)
    this.#answerPostponed()
    this.#calls.take()
    this.storeApplied()
  }

  /** The store has more: on with what is being read. */
  storeApplied(): void {
    this.#readings.goOn()
  }

  #cancel(request: number): void {
    this.#readings.cancel(request)
    this.#o.gateway.forgetWaits(this, request)
  }

  #question(request: number, question: unknown): void {
    try {
      this.#query(request, checkQuery(question))
    } catch (error) {
      this.failed(request, asCommanderError(error))
    }
  }

  #query(request: number, query: Query): void {
    // A greeting reads nothing, an end is told when it is flushed, and an applier that is down keeps nobody from commands.
    if (query.ask === 'hello' || query.ask === 'rebuild' || query.ask === 'workflowEnd')
      return this.#answer(request, query)
    this.#o.waiter.waitFor(query as ReadFloor, questionLimits.readWaitMs, (error) => {
      if (error === null) this.#answer(request, query)
      else this.failed(request, error)
    })
  }

  #answer(request: number, query: Query): void {
    if (this.#isClosed) return
    try {
      if (this.#mayAsk(query)) this.#ask(request, query)
      else this.#postponed.add({ request, query })
    } catch (error) {
      if (isArchivedElsewhere(error)) this.#bringBack(error, request, () => this.#answer(request, query))
      else this.failed(request, asCommanderError(error))
    }
  }

  #answerPostponed(): void {
    for (const { request, query } of this.#postponed.due((next) => this.#mayAsk(next))) this.#answer(request, query)
  }

  #mayAsk(query: Query): boolean {
    if (this.isFull && isPostponable(query)) return false
    return !isLong(query) || this.#longUnderWay < questionLimits.longUnderWay
  }

  /** Archived events are on their way; then goes on. */
  #bringBack(elsewhere: ArchivedElsewhere, request: number, goOn: () => void): void {
    this.#o.queries.archived.load(elsewhere).then(goOn, (error: unknown) => {
      this.#readings.cancel(request)
      if (!this.#isClosed) this.failed(request, asCommanderError(error))
    })
  }

  #ask(request: number, query: Query): void {
    const { queries, gateway } = this.#o
    switch (query.ask) {
      case 'hello':
        return this.#result(request, { limits: gateway.admission.limits, ...gateway.marks })
      case 'state':
        return this.#result(request, queries.state(query.aggregate, query.id, query.atLsn))
      case 'stream':
        return this.#result(request, queries.stream(query.aggregate, query.id, query.from, query.limit))
      case 'projection':
        return this.#result(request, queries.projection(query.name, query.key))
      case 'projections':
        return this.#result(request, queries.projections())
      case 'schedules':
        return this.#result(request, schedulesOf(gateway.state, gateway.wallMs()))
      case 'queues':
        return this.#result(request, queuesOf(gateway.state))
      case 'command':
        return this.#command(request, query.id, Math.min(query.waitMs ?? 0, questionLimits.commandWaitMs))
      case 'commands':
        return this.#result(request, queries.commands(query.state, query.limit, query.after))
      case 'retry':
        return gateway.operate(this, request, { type: 'command/retried', ...queries.retryable(query.id) })
      case 'skip':
        return gateway.operate(this, request, queries.skippable(query.id, query.reason))
      case 'rebuild':
        this.#o.rebuild(query.name, (error) => {
          if (error === null) this.#result(request, { name: query.name })
          else this.failed(request, error)
        })
        return
      case 'streamLife':
      case 'closeStream':
      case 'archiveStream':
      case 'deleteStream':
      case 'workflowRecord':
        return this.#resultOf(request, laterAnswer(this.#o, query))
      case 'workflow':
      case 'workflows':
        return this.#longResultOf(request, query)
      case 'workflowEnd':
        return gateway.awaitEnd(this, request, queries.present(workflowType(query.name), query.id))
      case 'events':
        return this.#readings.add(request, query.after, query.follow)
      default:
        unreachable(query)
    }
  }

  #resultOf(request: number, result: Promise<unknown>): void {
    result.then(
      (value) => this.#result(request, value),
      (error: unknown) => this.failed(request, asCommanderError(error)),
    )
  }

  /** Who takes no more by the time that it is there asks for it again then: it is too large to be kept. */
  #longResultOf(request: number, query: Extract<Query, { readonly ask: Later }>): void {
    this.#longUnderWay++
    const over = (answer: () => void): void => {
      this.#longUnderWay--
      if (this.isFull) this.#answer(request, query)
      else answer()
      this.#answerPostponed()
    }
    laterAnswer(this.#o, query).then(
      (value) => over(() => this.#result(request, value)),
      (error: unknown) => over(() => this.failed(request, asCommanderError(error))),
    )
  }

  #result(request: number, value: unknown): void {
    this.#channel.send(clientFrames.result, encodeResult(request, value, this.#o.gateway.marks.applied))
  }

  #command(request: number, id: string, waitMs: number): void {
    const { queries, gateway, waiter } = this.#o
    const at = commandLsn(id)
    const isPending = gateway.state.commands.byLsn.has(at)
    // Ended and not in the store yet: it will be once the store is where the state is now.
    const isOnTheWay = !isPending && at <= gateway.state.lsn && gateway.marks.applied < gateway.state.lsn
    if (!isPending && !isOnTheWay) this.#result(request, queries.command(id))
    else if (isPending && waitMs <= 0) this.#result(request, queries.command(id))
    else {
      const target = isPending ? gateway.marks.applied + 1 : gateway.state.lsn
      const startedMs = this.#o.environment.clock.monotonicMs()
      waiter.wait(target, Math.max(waitMs, isPending ? 1 : questionLimits.readWaitMs), () => {
        const leftMs = waitMs - (this.#o.environment.clock.monotonicMs() - startedMs)
        if (isPending && leftMs > 0) this.#answerCommand(request, id, leftMs)
        else this.#answerCommand(request, id, 0)
      })
    }
  }

  #answerCommand(request: number, id: string, waitMs: number): void {
    this.#answer(request, { ask: 'command', id, waitMs })
  }
}
