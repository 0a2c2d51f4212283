import type { Environment, Timer } from '../kernel/environment.ts'
import { isRetryableError, isTerminalError } from '../sdk/workflow-errors.ts'
import type { Effect, EffectContext } from '../sdk/workflow-types.ts'
import { type Failure, failureOf } from '../workflows/failure.ts'
import type { Isolation } from '../workflows/isolation.ts'
import type { RequestOperation } from '../workflows/operation.ts'

export type RequestResult =
  | { readonly result: unknown }
  | { readonly error: Failure; readonly isTerminal: boolean; readonly retryAfterMs: number | null }

/** Tells how an attempt ended; not called when it was aborted. */
export type RequestEnded = (operation: RequestOperation, attempt: number, result: RequestResult) => void

/** One that is under way, or about to be. */
class Running {
  timer: Timer | null = null
  /** Called once, when the effect is under way no longer. */
  over: () => void = nothing
  #abort: AbortController | null = null

  /** Made when it is asked for: most effects do without. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    return this.#abort.signal
  }

  abort(why: Error): void {
    this.#abort?.abort(why)
  }
}

class EffectCall implements EffectContext {
  readonly effectKey: string
  readonly attempt: number
  readonly #running: Running

  constructor(effectKey: string, attempt: number, running: Running) {
    this.effectKey = effectKey
    this.attempt = attempt
    this.#running = running
  }

  get signal(): AbortSignal {
    return this.#running.signal
  }
}

const nothing = (): void => {}

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
    this.#running.set(operation, new Running())
  }

  /** Tries again after a pause; `again` begins the next attempt. */
  later(operation: string, delayMs: number, again: () => void): void {
    const running = new Running()
    this.#running.set(operation, running)
    running.timer = this.#environment.scheduler.after(delayMs, () => {
      if (this.#running.get(operation) !== running) return
      this.#running.delete(operation)
      again()
    })
  }

  /**
   * Carries the effect out, if it is still reserved. `over` is called when it is under way no longer, however that came.
   * @returns false when nobody wants it any more
   */
  begin(
    operation: RequestOperation,
    effectKey: string,
    attempt: number,
    ended: RequestEnded,
    over: () => void,
  ): boolean {
    const running = this.#running.get(operation.id)
    if (running === undefined) return false
    running.over = over
    const end = (result: RequestResult): void => {
      if (this.#running.get(operation.id) !== running) return
      running.timer?.cancel()
      this.#running.delete(operation.id)
      ended(operation, attempt, result)
      over()
    }
    this.#limitTime(operation, running, end)
    const call = (): unknown => operation.effect(new EffectCall(effectKey, attempt, running))
    this.#isolation.run(null, () => carryOut(call, end))
    return true
  }

  /** Nobody wants to know any more. */
  abort(operation: string, why: Error): void {
    const running = this.#running.get(operation)
    if (running === undefined) return
    this.#running.delete(operation)
    running.timer?.cancel()
    running.abort(why)
    running.over()
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
      running.abort(new Error(message))
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
    // One that is no promise ends in a turn of its own, as every other one.
    Promise.resolve(call()).then((result) => end({ result }), failed)
  } catch (error) {
    failed(error)
  }
}
