import type { Timer } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { CallOutcome, Replier } from './call.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'

/** What came: what the gateway answered, or null when the time was over. */
export type WaitedFor = CallOutcome | CommanderError | null

interface Waiting {
  readonly exchange: HttpExchange
  readonly done: (came: WaitedFor) => void
  readonly timer: Timer
}

/** Requests that wait for workflows to end. Bounded by the connections, each of which has one request. */
export class HttpWorkflowWaits implements Replier {
  readonly #context: HttpContext
  readonly #waiting = new Map<number, Waiting>()
  #next = 1

  constructor(context: HttpContext) {
    this.#context = context
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Starts a workflow by this draft and waits for its end, as `wait` says to the gateway. Calls `done` once, unless the client goes away. */
  start(exchange: HttpExchange, draft: Buffer, wait: number, waitMs: number, done: Waiting['done']): void {
    this.#context.gateway.submit(this, this.#wait(exchange, waitMs, done), wait, draft, 0)
  }

  /** Waits for the end of a workflow. @throws CommanderError `overloaded` */
  await(exchange: HttpExchange, key: string, waitMs: number, done: Waiting['done']): void {
    this.#context.gateway.awaitEnd(this, this.#wait(exchange, waitMs, done), key)
  }

  completed(request: number, outcome: CallOutcome): void {
    this.#end(request, outcome)
  }

  failed(request: number, error: CommanderError): void {
    this.#end(request, error)
  }

  isListening(request: number): boolean {
    return this.#waiting.has(request)
  }

  /** Answers leave as they come. */
  flush(): void {}

  /** Waits no longer: everybody is answered with what is known now. */
  close(): void {
    for (const request of this.#waiting.keys()) this.#giveUp(request)
  }

  #wait(exchange: HttpExchange, waitMs: number, done: Waiting['done']): number {
    const request = this.#next
    this.#next = (this.#next + 1) >>> 0
    const timer = this.#context.environment.scheduler.after(waitMs, () => this.#giveUp(request))
    this.#waiting.set(request, { exchange, done, timer })
    exchange.onClosed(() => {
      if (this.#take(request) !== undefined) this.#context.gateway.forgetWaits(this, request)
    })
    return request
  }

  #giveUp(request: number): void {
    this.#context.gateway.forgetWaits(this, request)
    this.#end(request, null)
  }

  #end(request: number, came: WaitedFor): void {
    const waiting = this.#take(request)
    if (waiting === undefined) return
    try {
      waiting.done(came)
    } catch (error) {
      waiting.exchange.fail(error)
    }
  }

  #take(request: number): Waiting | undefined {
    const waiting = this.#waiting.get(request)
    this.#waiting.delete(request)
    waiting?.timer.cancel()
    return waiting
  }
}
