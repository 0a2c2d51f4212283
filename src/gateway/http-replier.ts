import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { CallOutcome, Replier } from './call.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpExchange } from './http-route.ts'

interface Expected {
  readonly exchange: HttpExchange
  readonly answer: (outcome: CallOutcome) => void
  readonly deadlineMs: number
}

const sweepMs = 1000

/** Where the gateway's answers to HTTP requests go: all connections share one, and a number tells their requests apart. */
export class HttpReplier implements Replier {
  readonly #environment: Environment
  /** In the order of their deadlines, because all have the same time. */
  readonly #expected = new Map<number, Expected>()
  #next = 1
  #sweepTimer: Timer | null = null

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** Requests whose answer is still to come. */
  get size(): number {
    return this.#expected.size
  }

  /** Calls `answer` with the outcome; failures and answers that do not come in time are answered here. */
  expect(exchange: HttpExchange, answer: (outcome: CallOutcome) => void): number {
    const request = this.#next
    this.#next = (this.#next + 1) >>> 0
    const deadlineMs = this.#environment.clock.monotonicMs() + httpLimits.answerMs
    this.#expected.set(request, { exchange, answer, deadlineMs })
    exchange.onClosed(() => this.#expected.delete(request))
    if (this.#sweepTimer === null) this.#sweepLater()
    return request
  }

  completed(request: number, outcome: CallOutcome): void {
    const expected = this.#take(request)
    if (expected === undefined) return
    try {
      expected.answer(outcome)
    } catch (error) {
      expected.exchange.fail(error)
    }
  }

  failed(request: number, error: CommanderError): void {
    this.#take(request)?.exchange.fail(error)
  }

  /** Answers leave as they come. */
  flush(): void {}

  close(): void {
    this.#sweepTimer?.cancel()
    this.#sweepTimer = null
  }

  #take(request: number): Expected | undefined {
    const expected = this.#expected.get(request)
    this.#expected.delete(request)
    return expected
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#environment.scheduler.after(sweepMs, () => {
      this.#sweepTimer = null
      const nowMs = this.#environment.clock.monotonicMs()
      for (const [request, { exchange, deadlineMs }] of this.#expected) {
        if (deadlineMs > nowMs) break
        this.#expected.delete(request)
        exchange.fail(late())
      }
      if (this.#expected.size > 0) this.#sweepLater()
    })
  }
}

const late = (): CommanderError =>
  new CommanderError(
    'timeout',
    `no outcome within ${httpLimits.answerMs} ms; it may still come: ask again with the same Idempotency-Key, or send "Prefer: respond-async"`,
  )
