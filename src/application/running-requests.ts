import type { Environment, Timer } from '../kernel/environment.ts'
import { isRetryableError, isTerminalError } from '../sdk/workflow-errors.ts'
import type { Effect } from '../sdk/workflow-types.ts'
import { type Failure, failureOf } from '../workflows/failure.ts'
import type { Isolation } from '../workflows/isolation.ts'
import type { RequestOperation } from '../workflows/operation.ts'

export type RequestResult =
  | { readonly result: unknown }
  | { readonly error: Failure; readonly isTerminal: boolean; readonly retryAfterMs: number | null }

/** Tells how an attempt ended; not called when it was aborted. */
export type RequestEnded = (operation: RequestOperation, attempt: number, result: RequestResult) => void

interface Running {
  readonly abort: AbortController
  timer: Timer | null
}

/** The effects of one workflow that are under way here, and those that wait for their next attempt. */
export class RunningRequests {
  readonly #environment: Environment
  readonly #isolation: Isolation
  readonly #running = new Map<string, Running>()

  constructor(environment: Environment, isolation: Isolation) {
    this.#environment = environment
    this.#isolation = isolation
  }

  get size(): number {
    return this.#running.size
  }

  has(operation: string): boolean {
    return this.#running.has(operation)
  }

  /** To be begun once its entry is flushed; nobody else begins it meanwhile. */
  reserve(operation: string): void {
    this.#running.set(operation, { abort: new AbortController(), timer: null })
  }

  /** Tries again after a pause; `again` begins the next attempt. */
  later(operation: string, delayMs: number, again: () => void): void {
    const running: Running = { abort: new AbortController(), timer: null }
    this.#running.set(operation, running)
    running.timer = this.#environment.scheduler.after(delayMs, () => {
      if (this.#running.get(operation) !== running) return
      this.#running.delete(operation)
      again()
    })
  }

  /** Carries the effect out, if it is still reserved. */
  begin(operation: RequestOperation, effectKey: string, attempt: number, ended: RequestEnded): void {
    const running = this.#running.get(operation.id)
    if (running === undefined) return
    const { signal } = running.abort
    const end = (result: RequestResult): void => {
      if (this.#running.get(operation.id) !== running) return
      running.timer?.cancel()
      this.#running.delete(operation.id)
      ended(operation, attempt, result)
    }
    this.#limitTime(operation, running, end)
    const call = (): unknown => operation.effect({ effectKey, attempt, signal })
    this.#isolation.run(null, () => carryOut(call, end))
  }

  /** Nobody wants to know any more. */
  abort(operation: string, why: Error): void {
    const running = this.#running.get(operation)
    if (running === undefined) return
    this.#running.delete(operation)
    running.timer?.cancel()
    running.abort.abort(why)
  }

  /** All but those that `isWanted`. */
  abortAll(why: string, isWanted: (operation: string) => boolean = () => false): void {
    if (this.#running.size === 0) return
    const reason = new Error(why)
    for (const operation of [...this.#running.keys()]) if (!isWanted(operation)) this.abort(operation, reason)
  }

  #limitTime({ id, policy }: RequestOperation, running: Running, end: (result: RequestResult) => void): void {
    const { timeoutMs } = policy
    if (timeoutMs === null) return
    running.timer = this.#environment.scheduler.after(timeoutMs, () => {
      const message = `${id} had not ended after ${timeoutMs} ms`
      end({ error: { code: 'timeout', message }, isTerminal: false, retryAfterMs: null })
      running.abort.abort(new Error(message))
    })
  }
}

function carryOut(call: () => ReturnType<Effect<unknown>>, end: (result: RequestResult) => void): void {
  const failed = (error: unknown): void =>
    end({
      error: failureOf(error),
      isTerminal: isTerminalError(error),
      retryAfterMs: isRetryableError(error) ? (error.retryAfterMs ?? null) : null,
    })
  try {
    const returned = call()
    if (isThenable(returned)) returned.then((result) => end({ result }), failed)
    // In a turn of its own, as every other one.
    else Promise.resolve(returned).then((result) => end({ result }), failed)
  } catch (error) {
    failed(error)
  }
}

const isThenable = (value: unknown): value is Promise<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as Promise<unknown>).then === 'function'
