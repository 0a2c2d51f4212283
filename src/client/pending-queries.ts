import type { Channel } from '../ipc/channel.ts'
import { clientFrames, encodeQuery, encodeRequest, type Query } from '../ipc/client-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'

interface PendingQuery {
  readonly query: Query
  readonly resolve: (value: unknown) => void
  readonly reject: (error: CommanderError) => void
  readonly deadlineMs: number
  /** Asked again after a lost connection: not what changes something. */
  readonly isRepeatable: boolean
}

/** Queries have the upper half of the request numbers, calls the lower one. */
const queryBit = 0x80000000

/** Questions without an answer yet. */
export class PendingQueries {
  readonly #pending = new Map<number, PendingQuery>()
  #next = 1

  takeNumber(): number {
    return ((this.#next++ & 0x7fffffff) | queryBit) >>> 0
  }

  ask(query: Query, isRepeatable: boolean, deadlineMs: number, channel: Channel | null): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const request = this.takeNumber()
      this.#pending.set(request, { query, resolve, reject, deadlineMs, isRepeatable })
      channel?.send(clientFrames.query, encodeQuery(request, query))
    })
  }

  get isWaiting(): boolean {
    return this.#pending.size > 0
  }

  /** The connection is there (again). */
  sendAll(channel: Channel): void {
    for (const [request, { query }] of this.#pending) channel.send(clientFrames.query, encodeQuery(request, query))
  }

  /** Certainly nothing came of it: it may be asked again. */
  refused(request: number): void {
    const query = this.#pending.get(request)
    if (query !== undefined) this.#pending.set(request, { ...query, isRepeatable: true })
  }

  /** The connection is gone, or could not be made: what must not be asked twice fails, and so does the first greeting. */
  lost(error: CommanderError | null): void {
    for (const [request, { query, isRepeatable, reject }] of this.#pending) {
      const isFirstGreeting = query.ask === 'hello' && error?.code === 'no_database'
      if (isRepeatable && !isFirstGreeting) continue
      this.#pending.delete(request)
      reject(isFirstGreeting && error !== null ? error : outcomeUnknown())
    }
  }

  resolve(request: number, value: unknown): void {
    this.#take(request)?.resolve(value)
  }

  reject(request: number, error: CommanderError): void {
    this.#take(request)?.reject(error)
  }

  rejectLate(nowMs: number, late: (ask: Query['ask']) => CommanderError, channel: Channel | null): void {
    for (const [request, { deadlineMs, query }] of this.#pending) {
      if (deadlineMs > nowMs) continue
      if (query.ask === 'workflowEnd') channel?.send(clientFrames.cancel, encodeRequest(request))
      this.reject(request, late(query.ask))
    }
  }

  rejectAll(error: CommanderError): void {
    for (const request of this.#pending.keys()) this.reject(request, error)
  }

  #take(request: number): PendingQuery | undefined {
    const query = this.#pending.get(request)
    this.#pending.delete(request)
    return query
  }
}

const outcomeUnknown = (): CommanderError =>
  new CommanderError('connection_lost', 'the connection ended before the answer; look before you ask again')
