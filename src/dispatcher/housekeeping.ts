import type { Action } from '../actions/action.ts'
import type { Environment } from '../kernel/environment.ts'
import { nextExpiryMs } from '../state/idempotency.ts'
import type { RootState } from '../state/root.ts'
import type { InstanceLoads } from './instance-loads.ts'

/** What becomes due by time alone: keys that expire, and application instances that are silent. */
export class Housekeeping {
  readonly #environment: Environment
  readonly #state: RootState
  readonly #loads: InstanceLoads
  readonly #silenceMs: number
  #expiredUntilMs = 0

  constructor(environment: Environment, state: RootState, loads: InstanceLoads, silenceMs: number) {
    this.#environment = environment
    this.#state = state
    this.#loads = loads
    this.#silenceMs = silenceMs
  }

  due(): Action[] {
    return [...this.#expiries(), ...this.#silences()]
  }

  /** Keys that expired in the last sweep are deleted by the next one, when every process has applied that they did. */
  *#expiries(): Generator<Action> {
    const { idempotency } = this.#state
    if (idempotency.expiredUntilMs > this.#expiredUntilMs) {
      this.#expiredUntilMs = idempotency.expiredUntilMs
      yield { type: 'idempotency-key/deleted', untilMs: this.#expiredUntilMs }
    }
    const nextMs = nextExpiryMs(idempotency)
    const nowMs = this.#environment.clock.wallMs()
    if (nextMs !== null && nextMs <= nowMs) yield { type: 'idempotency-key/expired', untilMs: nowMs }
  }

  *#silences(): Generator<Action> {
    const nowMs = this.#environment.clock.monotonicMs()
    for (const { instance, started, lastProgressMs } of this.#loads.values()) {
      const isSilent = started > 0 && nowMs - lastProgressMs > this.#silenceMs
      if (!isSilent || !this.#state.applications.byInstance.has(instance)) continue
      this.#environment.log.warn({ instance, started }, 'application instance is silent: deregistered')
      yield { type: 'application/deregistered', instance, reason: 'silent' }
    }
  }
}
