import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientOutcome, type Database, type ErrorCode, isCommanderError } from '../../src/client.ts'
import { type Movement, movementOf } from './movements.ts'

/** What a call was answered with. */
export interface Answer {
  readonly movement: Movement
  readonly outcome: ClientOutcome
}

/** Nobody asks again at once after an error that says that it may help later. */
const retryPauseMs = 20
const workers = 48
/** Shorter than some faults last, so that callers give up on calls that then take effect all the same. */
const timeoutMs = 3000

/**
 * Makes calls until it is paused, and keeps what was answered until somebody takes it. A call with a key is repeated
 * until it is answered; one without is made once.
 */
export class LedgerLoad {
  readonly seed: number
  /** Calls made so far: those with a lower number. */
  sent = 0
  answered = 0
  /** Longest time without any answer while calls were being made, since it was last taken. */
  #longestSilenceMs = 0
  /** Errors that callers saw, all of which said that the call may be made again. */
  readonly errors = new Map<ErrorCode, number>()
  /** What no client may ever see. */
  readonly violations: string[] = []
  #answers: Answer[] = []
  #running = false
  #abandoned = false
  #ended: Promise<unknown> = Promise.resolve()
  #lastAnswerMs = 0

  constructor(seed: number) {
    this.seed = seed
  }

  start(clients: readonly Database[]): void {
    this.#running = true
    this.#lastAnswerMs = performance.now()
    this.#ended = Promise.all(
      Array.from({ length: workers }, (_, i) => this.#work(clients[i % clients.length] as Database)),
    )
  }

  /** Resolves when every call has its answer: one that never gets one is seen by never coming back from here. */
  async pause(): Promise<void> {
    this.#running = false
    await this.#ended
  }

  /** Makes no more calls, and repeats none. */
  abandon(): void {
    this.#running = false
    this.#abandoned = true
  }

  takeAnswers(): readonly Answer[] {
    const answers = this.#answers
    this.#answers = []
    return answers
  }

  takeLongestSilenceMs(): number {
    const longest = this.#longestSilenceMs
    this.#longestSilenceMs = 0
    return longest
  }

  errorsOf(code: ErrorCode): number {
    return this.errors.get(code) ?? 0
  }

  async #work(client: Database): Promise<void> {
    while (this.#running) {
      const movement = movementOf(this.seed, this.sent++)
      const outcome = await this.#execute(client, movement)
      if (outcome === null) continue
      const nowMs = performance.now()
      this.#longestSilenceMs = Math.max(this.#longestSilenceMs, nowMs - this.#lastAnswerMs)
      this.#lastAnswerMs = nowMs
      this.answered++
      this.#answers.push({ movement, outcome })
    }
  }

  /** Null when nobody knows what became of it. */
  async #execute(client: Database, movement: Movement): Promise<ClientOutcome | null> {
    const { n, account, amount, isRefused, idempotencyKey, wait } = movement
    const command = isRefused ? 'refuse' : 'move'
    for (;;) {
      try {
        const key = idempotencyKey === null ? {} : { idempotencyKey }
        return await client.execute('ledger', account, command, { n, amount }, { ...key, wait, timeoutMs })
      } catch (error) {
        if (!isCommanderError(error) || !error.retryable) {
          if (!this.#abandoned)
            this.violations.push(`movement ${n} failed with an error that is not to be retried: ${String(error)}`)
          this.abandon()
          return null
        }
        this.errors.set(error.code, this.errorsOf(error.code) + 1)
        await sleep(retryPauseMs)
        if (idempotencyKey === null || this.#abandoned) return null
      }
    }
  }
}
