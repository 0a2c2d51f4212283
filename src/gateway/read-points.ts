import type { ReadPointIs } from '../ipc/journal-protocol.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, fromWireError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'

/** Gets the entry that the store must have applied, or why nobody can say. */
export type ReadPointDone = (point: Lsn | CommanderError) => void

interface Read {
  readonly done: ReadPointDone
  readonly untilMs: number
}

const readsMax = 10_000
/** The journal writer gives up first, and knows why. */
const waitMs = limits.readConfirmMs + 1_000
const lookMs = 100

/**
 * Linearizable reads that wait to hear how far the store must be. The journal writer is asked once for all of them that came
 * by then; those that come later wait for the next question.
 *
 * I1. An answer serves reads only that came before its question was asked: it may not know what was acknowledged since.
 * I2. Bounded in number and in time (G10); what is not confirmed in time is refused.
 */
export class ReadPoints {
  readonly #environment: Environment
  /** Puts a question to the journal writer; false while there is none. */
  readonly #ask: (id: number) => boolean
  /** Those of the question that is under way; empty while none is. */
  #asked: readonly Read[] = []
  #question = 0
  #waiting: Read[] = []
  #timer: Timer | null = null

  constructor(environment: Environment, ask: (id: number) => boolean) {
    this.#environment = environment
    this.#ask = ask
  }

  /** `done` is called once, never before this has returned. */
  ask(done: ReadPointDone): void {
    if (this.#waiting.length + this.#asked.length >= readsMax) {
      this.#environment.scheduler.soon(() => done(tooMany()))
      return
    }
    this.#waiting.push({ done, untilMs: this.#nowMs + waitMs })
    if (this.#timer === null) this.#lookLater()
    // Those of one turn of the event loop share a question.
    if (this.#waiting.length === 1) this.#environment.scheduler.soon(() => this.resume())
  }

  answered(answer: ReadPointIs): void {
    if (answer.id !== this.#question || this.#asked.length === 0) return
    const reads = this.#asked
    this.#asked = []
    this.resume()
    const point = 'error' in answer ? fromWireError(answer.error) : answer.lsn
    for (const { done } of reads) done(point)
  }

  /** The journal writer is another one, or says that another node leads: what it was asked may have been lost. */
  again(): void {
    this.lost()
    this.resume()
  }

  resume(): void {
    if (this.#asked.length > 0 || this.#waiting.length === 0) return
    this.#question++
    if (!this.#ask(this.#question)) return
    this.#asked = this.#waiting // I1
    this.#waiting = []
  }

  /** The connection is lost, and the question with it. */
  lost(): void {
    this.#waiting = [...this.#asked, ...this.#waiting]
    this.#asked = []
  }

  get #nowMs(): number {
    return this.#environment.clock.monotonicMs()
  }

  #lookLater(): void {
    this.#timer = this.#environment.scheduler.after(lookMs, () => {
      this.#timer = null
      this.#refuseLate()
      this.resume()
      if (this.#asked.length + this.#waiting.length > 0) this.#lookLater()
    })
  }

  /** I2. */
  #refuseLate(): void {
    const nowMs = this.#nowMs
    const isLate = ({ untilMs }: Read): boolean => untilMs <= nowMs
    const late = [...this.#asked, ...this.#waiting].filter(isLate)
    if (late.length === 0) return
    this.#asked = this.#asked.filter((read) => !isLate(read))
    this.#waiting = this.#waiting.filter((read) => !isLate(read))
    for (const { done } of late) done(notConfirmed())
  }
}

const tooMany = (): CommanderError =>
  new CommanderError('overloaded', `${readsMax} linearizable reads wait already; try again later`)

const notConfirmed = (): CommanderError =>
  new CommanderError(
    'timeout',
    `the journal writer has not said within ${waitMs} ms how far a linearizable read has to wait: try again, or read what is known (consistency known)`,
  )
