import type { Timer } from '../kernel/environment.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { readNow } from './http-apply-wait.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpContext, HttpExchange } from './http-route.ts'
import { type CommandView, commandLsn } from './queries.ts'

interface Waiting {
  readonly at: Lsn
  readonly id: string
  readonly exchange: HttpExchange
  readonly done: (view: CommandView) => void
  timer: Timer | null
}

/** Requests that wait for commands to end. */
export class CommandWaits {
  readonly #context: HttpContext
  readonly #waiting = new Set<Waiting>()
  readonly #unlisten: () => void
  #isClosed = false

  constructor(context: HttpContext) {
    this.#context = context
    // A command's end is in the store soon after it is in the state.
    this.#unlisten = context.gateway.onApplied(() => {
      for (const waiting of this.#waiting) if (!this.#isPending(waiting)) this.#answer(waiting)
    })
  }

  get size(): number {
    return this.#waiting.size
  }

  /**
   * Calls `done` with what is known of a command once it has ended, or after `waitMs`, whichever comes first. Failures
   * are answered here.
   */
  wait(id: string, waitMs: number, exchange: HttpExchange, done: (view: CommandView) => void): void {
    const waiting: Waiting = { at: commandLsn(id), id, exchange, done, timer: null }
    if (waitMs <= 0 || this.#isClosed || !this.#isPending(waiting)) {
      this.#answer(waiting)
      return
    }
    this.#waiting.add(waiting)
    waiting.timer = this.#context.environment.scheduler.after(waitMs, () => this.#answer(waiting))
    exchange.onClosed(() => this.#forget(waiting))
  }

  /** Waits no longer: everybody is answered with what is known now. */
  close(): void {
    this.#isClosed = true
    this.#unlisten()
    for (const waiting of this.#waiting) this.#answer(waiting)
  }

  #isPending({ at }: Waiting): boolean {
    return this.#context.gateway.state.commands.byLsn.has(at)
  }

  #forget(waiting: Waiting): void {
    waiting.timer?.cancel()
    this.#waiting.delete(waiting)
  }

  #answer(waiting: Waiting): void {
    this.#forget(waiting)
    const { gateway, waiter } = this.#context
    // Ended and not in the store yet: it will be once the store is where the state is now.
    const isOnTheWay =
      !this.#isPending(waiting) && waiting.at <= gateway.state.lsn && gateway.marks.applied < gateway.state.lsn
    if (!isOnTheWay) return this.#read(waiting)
    waiter.wait(gateway.state.lsn, httpLimits.readWaitMs, (error) => {
      if (error === null) this.#read(waiting)
      else waiting.exchange.fail(error)
    })
  }

  #read({ id, exchange, done }: Waiting): void {
    readNow(this.#context, exchange, () => done(this.#context.queries.command(id)))
  }
}
