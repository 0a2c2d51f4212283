import type { Action } from '../actions/action.ts'
import type { Environment } from '../kernel/environment.ts'
import { nextExpiryMs } from '../state/idempotency.ts'
import type { RootState } from '../state/root.ts'
import type { InstanceLoads } from './instance-loads.ts'
import type { DispatcherOptions } from './options.ts'
import { Roll } from './roll.ts'

/** What becomes due by time alone: keys that expire, and application instances that are silent. */
export class Housekeeping {
  readonly #environment: Environment
  readonly #state: RootState
  readonly #loads: InstanceLoads
  readonly #options: DispatcherOptions
  readonly roll: Roll
  /** Keys up to here have been said to be deleted, or were by who was before. */
  #deletedUntilMs = 0
  /** What expired, and since when this is known. */
  #expired: { readonly untilMs: number; readonly sinceMs: number } | null = null

  constructor(environment: Environment, state: RootState, loads: InstanceLoads, options: DispatcherOptions) {
    this.#environment = environment
    this.#state = state
    this.#loads = loads
    this.#options = options
    this.roll = new Roll(state, environment.clock)
  }

  due(): Action[] {
    return [...this.#expiries(), ...this.#silences()]
  }

  *#expiries(): Generator<Action> {
    const { idempotency } = this.#state
    const { clock } = this.#environment
    yield* this.#deletions(idempotency.expiredUntilMs, clock.monotonicMs())
    const nextMs = nextExpiryMs(idempotency)
    const nowMs = clock.wallMs()
    if (nextMs !== null && nextMs <= nowMs) yield { type: 'idempotency-key/expired', untilMs: nowMs }
  }

  /** Keys are kept for a while after they expired: for processes that have not applied yet that they did. */
  *#deletions(expiredUntilMs: number, nowMs: number): Generator<Action> {
    if (this.#expired !== null && nowMs - this.#expired.sinceMs >= this.#options.keysKeptMs) {
      const { untilMs } = this.#expired
      this.#deletedUntilMs = untilMs
      this.#expired = null
      yield { type: 'idempotency-key/deleted', untilMs }
    }
    if (expiredUntilMs > this.#deletedUntilMs) this.#expired ??= { untilMs: expiredUntilMs, sinceMs: nowMs }
  }

  *#silences(): Generator<Action> {
    const nowMs = this.#environment.clock.monotonicMs()
    for (const { instance, started, lastProgressMs } of this.#loads.values()) {
      const isSilent = started > 0 && nowMs - lastProgressMs > this.#options.silenceMs
      if (isSilent) yield* this.#silence(instance, started)
    }
    for (const instance of this.roll.missingFor(this.#options.silenceMs)) yield* this.#silence(instance, 0)
  }

  *#silence(instance: string, started: number): Generator<Action> {
    if (!this.#state.applications.byInstance.has(instance)) return
    this.#environment.log.warn({ instance, started }, 'application instance is silent: deregistered')
    yield { type: 'application/deregistered', instance, reason: 'silent' }
  }
}
