import type { Lsn } from '../kernel/identifiers.ts'
import { NumberMap } from '../kernel/number-map.ts'
import type { Call } from './call.ts'

/** Calls whose commands have not ended, by command: mostly one each, which then costs no list. */
export class WaitingCalls {
  readonly #byCommand = new NumberMap<Call>()

  /** Commands that somebody waits for. */
  get size(): number {
    return this.#byCommand.size
  }

  has(command: Lsn): boolean {
    return this.#byCommand.has(command)
  }

  add(call: Call, command: Lsn): void {
    call.next = this.#byCommand.get(command) ?? null
    this.#byCommand.set(command, call)
  }

  /** All that wait for this command; they do no longer. Each may wait for something again. */
  *take(command: Lsn): Generator<Call> {
    const first = this.#byCommand.get(command) ?? null
    this.#byCommand.delete(command)
    for (let call = first, next: Call | null; call !== null; call = next) {
      next = call.next
      yield call
    }
  }
}
