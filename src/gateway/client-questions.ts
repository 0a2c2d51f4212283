import type { Query } from '../ipc/client-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import { Queue } from '../kernel/queue.ts'

export interface Question {
  readonly request: number
  readonly query: Query
}

export const questionLimits = {
  /** Questions of one client that wait until it takes the answers to others. */
  postponed: 10_000,
  /** Views and lists of workflows that are put together for one client at once: each may be large. */
  longUnderWay: 4,
  /** Readings of events that one client may have under way. */
  readings: 1024,
  /** For the store to have applied what the reader wants to see. */
  readWaitMs: 10_000,
  /** A command's end is waited for so long at most; the client asks again. */
  commandWaitMs: 3_600_000,
} as const

/** What a client asks while it takes no more of the answers to what it had asked before: these would fill memory (G10). */
export class PostponedQuestions {
  readonly #queue = new Queue<Question>()

  /** @throws CommanderError `overloaded` */
  add(question: Question): void {
    if (this.#queue.length >= questionLimits.postponed) throw tooManyPostponed()
    this.#queue.push(question)
  }

  /** In order, as long as the next one may be asked; each is to be answered before the next is asked for. */
  *due(mayAsk: (query: Query) => boolean): Generator<Question> {
    for (let next = this.#queue.peek(); next !== undefined && mayAsk(next.query); next = this.#queue.peek()) {
      this.#queue.shift()
      yield next
    }
  }

  clear(): void {
    this.#queue.takeAll()
  }
}

/** A greeting is small, and a reading of events waits by itself, and can be cancelled. */
export const isPostponable = ({ ask }: Query): boolean => ask !== 'hello' && ask !== 'events'

/** What takes several turns to put together, and is large then. */
export const isLong = ({ ask }: Query): boolean => ask === 'workflow' || ask === 'workflows'

const tooManyPostponed = (): CommanderError =>
  new CommanderError(
    'overloaded',
    `${questionLimits.postponed} questions wait until this client takes answers; read those first`,
  )

export const tooManyReadings = (): CommanderError =>
  new CommanderError(
    'overloaded',
    `this client reads events ${questionLimits.readings} times at once already; end some of them`,
  )
