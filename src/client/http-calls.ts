import type { Environment } from '../kernel/environment.ts'
import { CommanderError, type ErrorCode, isCommanderError } from '../kernel/errors.ts'
import { errorOf } from './http-answers.ts'
import type { HttpNodes } from './http-nodes.ts'
import type { HttpAnswer } from './http-requester.ts'
import { HttpWatch, SilentNodeError } from './http-watch.ts'
import type { ReadSession } from './read-session.ts'

/** The longest that the server waits in one request. */
export const waitMsMax = 60_000

export interface HttpCall<Result> {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | null
  readonly timeoutMs: number
  /**
   * When to ask again. `unsent`: only where nothing can have come of it, for what changes something and has no key.
   * `never`: not even where nobody answers.
   */
  readonly repeat: 'always' | 'unsent' | 'never'
  readonly take: (answer: HttpAnswer) => Promise<Result>
}

export interface HttpCallsOptions {
  readonly session: ReadSession
  readonly environment: Environment
  readonly nodes: HttpNodes
  readonly token: string | undefined
  readonly maxInFlight: number
}

/** Calls that wait in the client for others to be answered. */
const waitingMax = 1_000_000
const retryDelayMs = 100
const retryDelayMsMax = 2000
/** Before the node is asked that was said to lead: it may not know yet. */
const otherNodeDelayMs = 5

/** Requests with a deadline, asked again while that may help. */
export class HttpCalls {
  readonly #o: HttpCallsOptions
  readonly #closing = new AbortController()
  readonly #watch: HttpWatch
  #inFlight = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: HttpCallsOptions) {
    this.#o = options
    this.#watch = new HttpWatch(options.environment, options.nodes, this.#headers())
  }

  get closed(): AbortSignal {
    return this.#closing.signal
  }

  close(): void {
    this.#closing.abort()
    this.#watch.close()
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async call<Result>(call: HttpCall<Result>): Promise<Result> {
    await this.#enter()
    try {
      return await this.#repeat(call)
    } finally {
      this.#inFlight--
      this.#waiting.shift()?.()
    }
  }

  /**
   * One request without a deadline, whose answer is a stream: the caller aborts it.
   *
   * @param isFollowing it may come to a stop for as long as nothing happens
   */
  async stream(
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    isFollowing: boolean,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { nodes } = this.#o
    const node = nodes.current
    const left = new AbortController()
    const giveUp = (error: CommanderError): void => left.abort(error)
    const ended = AbortSignal.any([left.signal, signal])
    const visit = this.#watch.enter(node, giveUp)
    try {
      const request = { method: 'GET', path, headers: this.#headers(headers), body: null, signal: ended } as const
      const answer = await nodes.at(node)(request)
      visit.heard()
      if (answer.status !== 200) throw await errorOf(answer)
      return this.#watch.chunksOf(answer, node, giveUp, isFollowing)
    } catch (error) {
      nodes.failed(node, error)
      throw error
    } finally {
      visit.leave()
    }
  }

  /** Ends early when the connection is closed. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel()
        this.closed.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.#o.environment.scheduler.after(delayMs, end)
      this.closed.addEventListener('abort', end)
    })
  }

  async #enter(): Promise<void> {
    if (this.#waiting.length >= waitingMax) {
      const message = `${waitingMax} calls wait in this client already; await some of them first`
      throw new CommanderError('overloaded', message)
    }
    while (this.#inFlight >= this.#o.maxInFlight && !this.closed.aborted) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#inFlight++
  }

  async #repeat<Result>(call: HttpCall<Result>): Promise<Result> {
    const { nodes, environment } = this.#o
    const { clock, random } = environment
    const endsAtMs = clock.monotonicMs() + call.timeoutMs
    /** Of an attempt that may have been carried out: that a later one is refused, or nobody listens, does not undo it. */
    let unknown: CommanderError | null = null
    for (let attempt = 0; ; attempt++) {
      const node = nodes.current
      try {
        return await this.#attempt(call, node, endsAtMs - clock.monotonicMs())
      } catch (error) {
        if (this.closed.aborted) throw closedError()
        if (isCommanderError(error) && mayBeDone.has(error.code)) unknown = error
        const delayMs = delayBefore(error, call, attempt, nodes.failed(node, error))
        // Spread, so that those who were sent away do not come back all at once.
        const spreadMs = (delayMs ?? 0) * (0.5 + random.uint32() / 2 ** 33)
        if (delayMs === null || clock.monotonicMs() + spreadMs >= endsAtMs)
          throw isOnlyNow(error) ? (unknown ?? error) : error
        await this.sleep(spreadMs)
      }
    }
  }

  async #attempt<Result>(
    { method, path, headers, body = null, take, timeoutMs }: HttpCall<Result>,
    node: string,
    leftMs: number,
  ): Promise<Result> {
    if (this.closed.aborted) throw closedError()
    const { environment, nodes, session } = this.#o
    const over = new AbortController()
    const giveUp = (error: CommanderError): void => over.abort(error)
    const timer = environment.scheduler.after(Math.max(0, leftMs), () => giveUp(lateError(method, path, timeoutMs)))
    const visit = this.#watch.enter(node, giveUp)
    const signal = AbortSignal.any([over.signal, this.closed])
    try {
      const answer = await nodes.at(node)({ method, path, headers: this.#headers(headers), body, signal })
      visit.heard()
      session.saw(Number(answer.header('applied-lsn') ?? 0))
      return await take(answer)
    } catch (error) {
      throw over.signal.aborted ? over.signal.reason : error
    } finally {
      timer.cancel()
      visit.leave()
    }
  }

  #headers(headers: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
    const { token } = this.#o
    return token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` }
  }
}

/**
 * How long to wait before asking again, or null where that would not help or might do harm.
 * @param isElsewhere another node is asked
 */
function delayBefore(
  error: unknown,
  { repeat }: HttpCall<unknown>,
  attempt: number,
  isElsewhere: boolean,
): number | null {
  if (!isCommanderError(error) || repeat === 'never') return null
  // It was waited for long enough.
  if (error instanceof SilentNodeError && repeat === 'always') return 0
  if (isElsewhere && (error.code === 'not_leader' || error.code === 'no_database'))
    return Math.min(otherNodeDelayMs * 2 ** attempt, retryDelayMsMax)
  const usualMs = Math.min(retryDelayMs * 2 ** attempt, retryDelayMsMax)
  if (mayBeDone.has(error.code)) return repeat === 'always' ? usualMs : null
  if (error.code === 'no_database') return usualMs
  const { retryAfterMs } = (error.details ?? {}) as { readonly retryAfterMs?: number }
  return error.retryable ? (retryAfterMs ?? usualMs) : null
}

/** What an attempt may have been carried out in spite of. */
const mayBeDone: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['connection_lost', 'timeout', 'indeterminate'])

/** What says nothing of the attempts before: this one was not taken, or reached nobody. */
const isOnlyNow = (error: unknown): boolean =>
  isCommanderError(error) && (error.retryable || error.code === 'no_database')

export const closedError = (): CommanderError =>
  new CommanderError('connection_lost', 'this connection was closed; connect again', { retryable: false })

const lateError = (method: string, path: string, timeoutMs: number): CommanderError => {
  const advice = method === 'GET' ? 'ask again' : 'its outcome is unknown: ask again with the same idempotency key'
  return new CommanderError('timeout', `${method} ${path} had no answer within ${timeoutMs} ms; ${advice}`)
}
