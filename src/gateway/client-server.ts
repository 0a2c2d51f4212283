import { entryEnd, isWellFormed, lengthOf, padded, sequenceOf, variantOf } from '../actions/entry-layout.ts'
import type { Channel, ChannelHandlers } from '../ipc/channel.ts'
import {
  clientFrames,
  decodeQuery,
  encodeEventsHeader,
  encodeFailed,
  encodeOutcomeHeader,
  encodeResult,
  type Query,
  requestOf,
} from '../ipc/client-protocol.ts'
import { unreachable } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, toWireError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { type ArchivedElsewhere, isArchivedElsewhere } from '../tables/archived-streams.ts'
import { lastPosition } from '../tables/event-log.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import type { ApplyWaiter } from './apply-waiter.ts'
import type { CallOutcome, Replier } from './call.ts'
import { checkQuery } from './check-query.ts'
import type { Gateway } from './gateway.ts'
import { laterAnswer } from './later-answers.ts'
import { commandLsn, type Queries } from './queries.ts'
import { knownError, tooManyReadings } from './refusals.ts'
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

const readWaitMs = 10_000
/** A command's end is waited for so long at most; the client asks again. */
const commandWaitMsMax = 3_600_000
/** Readings of events that one client may have under way. */
const readingsMax = 1024
/** Blocks of the event log sent before the event loop is given back. */
const blocksPerTurn = 32

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

interface Reading {
  readonly request: number
  readonly follow: boolean
  after: number
  /** For archived events. */
  isWaiting: boolean
}

class ClientConnection implements Replier {
  readonly stalled: StalledClient
  readonly #channel: Channel
  readonly #o: ClientServerOptions
  readonly #readings = new Map<number, Reading>()
  #turnScheduled = false
  #isClosed = false

  constructor(channel: Channel, options: ClientServerOptions) {
    this.stalled = new StalledClient(channel, options.environment.log)
    this.#channel = channel
    this.#o = options
  }

  frame(kind: number, body: Buffer): void {
    this.#channel.release(body.length)
    if (kind === clientFrames.call) this.#call(body)
    else if (kind === clientFrames.query) this.#question(requestOf(body), decodeQuery(body))
    else if (kind === clientFrames.cancel) this.#cancel(requestOf(body))
    else this.#channel.close(new CommanderError('protocol_violation', `a client sent a frame of kind ${kind}`))
  }

  isListening(): boolean {
    return !this.#isClosed
  }

  close(): void {
    this.#isClosed = true
    this.#readings.clear()
    this.#o.gateway.forgetWaits(this)
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

  /** It takes more: on with what is being read. */
  writable(): void {
    this.stalled.took()
    this.storeApplied()
  }

  /** The store has more: on with what is being read. */
  storeApplied(): void {
    if (this.#readings.size > 0) this.#turnSoon()
  }

  #call(body: Buffer): void {
    for (let at = 0; at < body.length; at += padded(lengthOf(body, at))) {
      if (!isWellFormed(body, at, body.length)) {
        this.#channel.close(
          new CommanderError('protocol_violation', `a client sent a call that is not well formed at byte ${at}`),
        )
        return
      }
      this.#o.gateway.submit(this, sequenceOf(body, at), variantOf(body, at), body, at)
    }
  }

  #cancel(request: number): void {
    this.#readings.delete(request)
    this.#o.gateway.forgetWaits(this, request)
  }

  #question(request: number, question: unknown): void {
    try {
      this.#query(request, checkQuery(question))
    } catch (error) {
      this.failed(request, knownError(error))
    }
  }

  #query(request: number, query: Query): void {
    // A greeting reads nothing, an end is told when it is flushed, and an applier that is down keeps nobody from commands.
    if (query.ask === 'hello' || query.ask === 'rebuild' || query.ask === 'workflowEnd')
      return this.#answer(request, query)
    this.#o.waiter.wait('minLsn' in query ? query.minLsn : undefined, readWaitMs, (error) => {
      if (error === null) this.#answer(request, query)
      else this.failed(request, error)
    })
  }

  #answer(request: number, query: Query): void {
    if (this.#isClosed) return
    try {
      this.#ask(request, query)
    } catch (error) {
      if (isArchivedElsewhere(error)) this.#bringBack(error, request, () => this.#answer(request, query))
      else this.failed(request, knownError(error))
    }
  }

  /** Archived events are on their way; then goes on. */
  #bringBack(elsewhere: ArchivedElsewhere, request: number, goOn: () => void): void {
    this.#o.queries.archived.load(elsewhere).then(goOn, (error: unknown) => {
      this.#readings.delete(request)
      if (!this.#isClosed) this.failed(request, knownError(error))
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
      case 'command':
        return this.#command(request, query.id, Math.min(query.waitMs ?? 0, commandWaitMsMax))
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
      case 'workflow':
      case 'workflowRecord':
      case 'workflows':
        return this.#resultOf(request, laterAnswer(this.#o, query))
      case 'workflowEnd':
        return gateway.awaitEnd(this, request, queries.present(workflowType(query.name), query.id))
      case 'events':
        if (this.#readings.size >= readingsMax) throw tooManyReadings(readingsMax)
        this.#readings.set(request, { request, follow: query.follow, after: query.after, isWaiting: false })
        this.#turnSoon()
        return
      default:
        unreachable(query)
    }
  }

  #resultOf(request: number, result: Promise<unknown>): void {
    result.then(
      (value) => this.#result(request, value),
      (error: unknown) => this.failed(request, knownError(error)),
    )
  }

  #result(request: number, value: unknown): void {
    this.#channel.send(clientFrames.result, encodeResult(request, value))
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
      waiter.wait(target, Math.max(waitMs, isPending ? 1 : readWaitMs), () => {
        const leftMs = waitMs - (this.#o.environment.clock.monotonicMs() - startedMs)
        if (isPending && leftMs > 0) this.#answerCommand(request, id, leftMs)
        else this.#answerCommand(request, id, 0)
      })
    }
  }

  #answerCommand(request: number, id: string, waitMs: number): void {
    this.#answer(request, { ask: 'command', id, waitMs })
  }

  #turnSoon(): void {
    if (this.#turnScheduled) return
    this.#turnScheduled = true
    this.#o.environment.scheduler.soon(() => {
      this.#turnScheduled = false
      for (const reading of this.#readings.values()) this.#read(reading)
    })
  }

  #read(reading: Reading): void {
    if (this.#isClosed || reading.isWaiting) return
    try {
      this.#readOn(reading)
    } catch (error) {
      if (isArchivedElsewhere(error)) {
        reading.isWaiting = true
        this.#bringBack(error, reading.request, () => {
          reading.isWaiting = false
          this.#turnSoon()
        })
        return
      }
      this.#readings.delete(reading.request)
      this.failed(reading.request, knownError(error))
    }
  }

  #readOn(reading: Reading): void {
    let sent = 0
    for (const block of this.#o.queries.log.blocksFrom(reading.after + 1)) {
      const last = lastPosition(block)
      if (last <= reading.after) break
      if (!this.#channel.writable) return
      const header = encodeEventsHeader(reading.request, 0, block.firstPosition)
      this.#channel.send(clientFrames.events, header, block.entries)
      reading.after = last
      if (++sent === blocksPerTurn) {
        this.#turnSoon()
        return
      }
    }
    if (reading.follow) return
    this.#readings.delete(reading.request)
    this.#channel.send(clientFrames.events, encodeEventsHeader(reading.request, 1, reading.after + 1))
  }
}
