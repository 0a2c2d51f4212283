import { CallEncoder, type CallFields, type ClientOutcome, callAt } from '../ipc/call-codec.ts'
import type { Channel } from '../ipc/channel.ts'
import { clientFrames, encodeRequest, replicatedWanted, type WaitMode, waitModes } from '../ipc/client-protocol.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError, isRefusal } from '../kernel/errors.ts'
import { NumberMap } from '../kernel/number-map.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import { commandDigest } from '../sdk/command-payload.ts'
import { isWorkflowType } from '../workflows/workflow-names.ts'
import { assertDurability } from './asked-durability.ts'
import { CallRoom } from './call-room.ts'
import { CallSession } from './call-session.ts'
import { unsureCommand } from './late-errors.ts'
import type { ExecuteOptions } from './options.ts'

/** As callers have it, and what only workflows wait for. */
export type CallOptions = Omit<ExecuteOptions, 'wait'> & { readonly wait?: WaitMode }

type Resolve = (outcome: ClientOutcome) => void
type Reject = (error: CommanderError) => void

interface PendingCall {
  readonly session: CallSession
  readonly sequence: number
  readonly resolve: Resolve
  readonly reject: Reject
  readonly deadlineMs: number
  readonly isOfWorkflow: boolean
  readonly room: CallRoom
  /** The frame that it was encoded into, and where; null until the end of the turn. */
  buffer: Buffer | null
  readonly at: number
  /** It was sent, and has no answer yet. */
  isUnderWay: boolean
  /** It was sent over a connection that was lost before the answer: it may have been taken, whatever is said of it later. */
  isUnsure: boolean
}

export interface CallPipelineOptions {
  readonly environment: Environment
  readonly maxInFlight: number
  readonly timeoutMs: number
  /** The connection, while it is up. */
  readonly channel: () => Channel | null
}

/** Calls are sent at the end of the turn, or as soon as they are so many: the database has work meanwhile. */
const frameBytes = 1_048_576
const frameCalls = 128
const ttlDefaultMs = 86_400_000
/** Until somebody leads again. */
const unknownRetryMs = 500
/** Calls have the lower half of the request numbers, queries the upper one. */
const requestMask = 0x7fffffff

export const nameOf = (aggregate: AnyAggregate | string): string =>
  typeof aggregate === 'string' ? aggregate : aggregate.name

/**
 * Commands of one client on their way. Those of one turn of the event loop travel in one frame; answers are matched by
 * number; a call that was sent away for want of room comes again later; after a lost connection those without an
 * answer are sent again under the same numbers.
 */
export class CallPipeline {
  readonly #o: CallPipelineOptions
  readonly #encoder = new CallEncoder()
  /** By request number. */
  readonly #calls = new NumberMap<PendingCall>()
  #session: CallSession
  readonly #room: CallRoom
  /** Workflows may take days: who waits for their ends keeps nobody else from calling. */
  readonly #endRoom: CallRoom
  /** Calls encoded in this turn. */
  #encoded: PendingCall[] = []
  /** Encoded and not sent yet: the gateway takes no more at the moment, or the turn is not over. */
  #frames: Buffer[] = []
  #sendScheduled = false
  #nextSequence = 1
  readonly #sendDue: () => void

  constructor(options: CallPipelineOptions) {
    this.#o = options
    this.#session = new CallSession(options.environment.random)
    this.#room = new CallRoom(options.maxInFlight)
    this.#endRoom = new CallRoom(options.maxInFlight)
    this.#sendDue = () => {
      this.#sendScheduled = false
      this.#send()
    }
  }

  execute(
    aggregate: AnyAggregate | string,
    id: string,
    command: string,
    data: unknown,
    options: CallOptions,
  ): Promise<ClientOutcome> {
    const deadlineMs = this.#o.environment.clock.monotonicMs() + (options.timeoutMs ?? this.#o.timeoutMs)
    return new Promise<ClientOutcome>((resolve, reject) => {
      const room = options.wait === 'ended' ? this.#endRoom : this.#room
      const begin = (): boolean =>
        this.#call(aggregate, id, command, data, options, { deadlineMs, room, resolve, reject })
      room.enter({ deadlineMs, begin, reject })
    })
  }

  get isWaiting(): boolean {
    return this.#calls.size > 0
  }

  /** The connection is there (again). */
  sendAll(channel: Channel): void {
    this.#frames = []
    // In their order: commands of one client on one aggregate take effect in the order in which it called.
    for (const call of this.#calls.values().sort((a, b) => a.sequence - b.sequence)) {
      if (call.buffer === null) continue
      if (call.isUnderWay) call.isUnsure = true
      call.isUnderWay = true
      this.#frames.push(Buffer.from(callAt(call.buffer, call.at)))
    }
    this.writable(channel)
    this.#sendSoon()
  }

  /** The gateway takes more. */
  writable(channel: Channel): void {
    let sent = 0
    while (sent < this.#frames.length && channel.writable)
      channel.send(clientFrames.call, this.#frames[sent++] as Buffer)
    this.#frames = sent === this.#frames.length ? [] : this.#frames.slice(sent)
    channel.flush()
  }

  /** @returns false when no call has this number. */
  outcome(request: number, outcome: ClientOutcome): boolean {
    const call = this.#calls.get(request)
    if (call === undefined) return false
    this.#finish(request, call)
    if (outcome.outcome === 'rejected' && isRefusal(outcome.code, call.isOfWorkflow)) {
      call.reject(new CommanderError(outcome.code, outcome.message, { details: outcome.details }))
    } else call.resolve(outcome)
    return true
  }

  /** @returns false when no call has this number. */
  failed(request: number, error: CommanderError): boolean {
    const call = this.#calls.get(request)
    if (call === undefined) return false
    const { clock, random, scheduler } = this.#o.environment
    const details = error.details as { readonly retryAfterMs?: number } | undefined
    call.isUnderWay = false
    // The node that had it does not lead any more. Under its number it takes effect once, whoever is asked again.
    const isUnknown = error.code === 'indeterminate'
    if (isUnknown) call.isUnsure = true
    const retryAfterMs = isUnknown ? unknownRetryMs : error.retryable ? details?.retryAfterMs : undefined
    if (retryAfterMs !== undefined && clock.monotonicMs() + retryAfterMs < call.deadlineMs) {
      // Spread, so that those who were sent away do not come back all at once.
      const delayMs = retryAfterMs * (0.1 + (random.uint32() / 4294967296) * 0.9)
      scheduler.after(delayMs, () => this.#again(request))
      return true
    }
    this.#finish(request, call)
    // Whoever refuses it now knows nothing of what became of it before.
    call.reject(call.isUnsure && error.retryable && !isUnknown ? unsureCommand(error) : error)
    return true
  }

  /** @param late of a call, or of one that waits for the end of a workflow */
  rejectLate(nowMs: number, late: (waitsForEnd: boolean) => CommanderError): void {
    for (const [request, call] of this.#calls) {
      if (call.deadlineMs > nowMs) continue
      const waitsForEnd = call.room === this.#endRoom
      if (waitsForEnd) this.#o.channel()?.send(clientFrames.cancel, encodeRequest(request))
      this.#finish(request, call)
      call.reject(late(waitsForEnd))
    }
    this.#room.rejectLate(nowMs, () => late(false))
    this.#endRoom.rejectLate(nowMs, () => late(false))
  }

  rejectAll(error: CommanderError): void {
    this.#room.rejectAll(error)
    this.#endRoom.rejectAll(error)
    for (const { reject } of this.#calls.values()) reject(error)
    this.#calls.clear()
  }

  #call(
    aggregate: AnyAggregate | string,
    id: string,
    command: string,
    data: unknown,
    options: CallOptions,
    made: Pick<PendingCall, 'deadlineMs' | 'room' | 'resolve' | 'reject'>,
  ): boolean {
    const sequence = this.#nextSequence
    const { random } = this.#o.environment
    if (this.#session.isTooWide(sequence)) this.#session = new CallSession(random)
    const session = this.#session
    const request = sequence & requestMask
    const type = nameOf(aggregate)
    try {
      assertDurability(options)
      const at = this.#encoder.add(
        {
          key: `${type}/${id}`,
          command,
          data,
          session: session.id,
          sequence,
          answeredBelow: session.answeredBelow(sequence),
          wait: waitOf(options),
          writtenIsEnough: options.durability === 'written',
          idempotencyKey: idempotencyKey(aggregate, id, command, data, options.idempotencyKey),
          expectedRevision: options.expectedRevision ?? null,
          metadata: options.metadata ?? null,
          ...queueingOf(options),
        },
        request,
      )
      this.#nextSequence++
      session.add(sequence)
      const fresh = { buffer: null, at, isUnderWay: false, isUnsure: false }
      const call = { ...made, session, sequence, isOfWorkflow: isWorkflowType(type), ...fresh }
      this.#calls.set(request, call)
      this.#encoded.push(call)
      if (this.#encoded.length >= frameCalls || this.#encoder.byteLength >= frameBytes) this.#send()
      this.#sendSoon()
      return true
    } catch (error) {
      made.reject(error as CommanderError)
      return false
    }
  }

  #sendSoon(): void {
    if (this.#sendScheduled) return
    this.#sendScheduled = true
    this.#o.environment.scheduler.soon(this.#sendDue)
  }

  #send(): void {
    if (this.#encoded.length > 0) this.#closeFrame()
    // Before the connection is up it is enough to keep them: `sendAll` sends what has no answer.
    const channel = this.#o.channel()
    if (channel === null) this.#frames = []
    else if (this.#frames.length > 0) this.writable(channel)
  }

  #closeFrame(): void {
    const buffer = this.#encoder.take()
    const isUnderWay = this.#o.channel() !== null
    for (const call of this.#encoded) {
      call.buffer = buffer
      call.isUnderWay = isUnderWay
    }
    this.#encoded = []
    this.#frames.push(buffer)
  }

  #again(request: number): void {
    const call = this.#calls.get(request)
    if (call?.buffer == null) return
    const channel = this.#o.channel()
    if (channel === null) return
    call.isUnderWay = true
    this.#frames.push(Buffer.from(callAt(call.buffer, call.at)))
    this.#sendSoon()
  }

  #finish(request: number, { session, sequence, room }: PendingCall): void {
    session.answered(sequence)
    this.#calls.delete(request)
    room.leave()
  }
}

function waitOf({ wait = 'completed', durability }: CallOptions): number {
  if (durability === 'applied') return waitModes.applied
  return durability === 'replicated' ? waitModes[wait] | replicatedWanted : waitModes[wait]
}

/** Mostly nothing: whatever it is, the gateway checks it. */
function queueingOf({ priority, delayMs }: CallOptions): Pick<CallFields, 'priority' | 'delayMs'> {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(delayMs === undefined ? {} : { delayMs }),
  }
}

function idempotencyKey(
  aggregate: AnyAggregate | string,
  id: string,
  command: string,
  data: unknown,
  key: string | undefined,
): CallFields['idempotencyKey'] {
  if (key === undefined) return null
  const ttlMs = typeof aggregate === 'string' ? ttlDefaultMs : aggregate.idempotencyTtlMs
  return { key, digest: commandDigest(nameOf(aggregate), id, command, data), ttlMs }
}
