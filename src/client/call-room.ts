import { CommanderError } from '../kernel/errors.ts'

export interface WaitingCall {
  readonly deadlineMs: number
  /** Returns whether it is under way now. */
  readonly begin: () => boolean
  readonly reject: (error: CommanderError) => void
}

/** Calls that wait in the client for others to be answered. */
const waitingMax = 1_000_000

/** So many calls may be under way at once; further ones wait here, in the order in which they were made. */
export class CallRoom {
  readonly #most: number
  readonly #waiting = new Set<WaitingCall>()
  #taken = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Begins at once, or when there is room. */
  enter(call: WaitingCall): void {
    if (this.#taken < this.#most) this.#begin(call)
    else if (this.#waiting.size < waitingMax) this.#waiting.add(call)
    else call.reject(tooManyWaiting())
  }

  leave(): void {
    this.#taken--
    for (const next of this.#waiting) {
      if (this.#taken >= this.#most) return
      this.#waiting.delete(next)
      this.#begin(next)
    }
  }

  rejectLate(nowMs: number, late: () => CommanderError): void {
    for (const call of this.#waiting) {
      if (call.deadlineMs > nowMs) break
      this.#waiting.delete(call)
      call.reject(late())
    }
  }

  rejectAll(error: CommanderError): void {
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting.clear()
  }

  #begin({ begin }: WaitingCall): void {
    if (begin()) this.#taken++
  }
}

const tooManyWaiting = (): CommanderError =>
  new CommanderError('overloaded', `${waitingMax} calls wait in this client already; await some of them first`)
