import type { ClientOutcome } from '../ipc/call-codec.ts'
import { unreachable } from '../kernel/assert.ts'
import { type CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { ImportCommand } from '../sdk/import-map.ts'
import { LineError } from './csv-adapter.ts'
import type { ImportRow } from './import-row.ts'
import { Rejections } from './rejections.ts'

export interface ImportCounts {
  /** Rows of the file that are done with; those that the map leaves out are not counted. */
  read: number
  /** Completed by this run. */
  completed: number
  rejected: number
  parked: number
  /** Received by this run, and put off. */
  delayed: number
  /** Carried out by an earlier call with the same idempotency key. */
  duplicates: number
}

export interface ImporterOptions {
  /** Asks for one row; asked again with the same key where the outcome is not known. */
  readonly execute: (command: ImportCommand, idempotencyKey: string) => Promise<ClientOutcome>
  /** A key for a row without one. */
  readonly newKey: () => string
  /** Commands under way at once. */
  readonly concurrency: number
  /** How long a row may stay without an outcome. */
  readonly timeoutMs: number
  readonly nowMs: () => number
  readonly sleep: (delayMs: number) => Promise<void>
  /** After every row. */
  readonly progress: (counts: ImportCounts, bytes: number) => void
}

/** Rows that wait for one before them on the same aggregate, and their bytes in the file. */
const waitingRowsMax = 16_384
const waitingBytesMax = 33_554_432
const retryDelayMs = 200

interface Waiting {
  readonly row: ImportRow
  readonly command: ImportCommand
  readonly bytes: number
}

/**
 * Sends rows with as many under way as allowed, but one at a time for each aggregate: a row that must be asked again
 * after a lost connection would otherwise come behind its successors. Rows of other aggregates are taken meanwhile.
 */
export class Importer {
  readonly #o: ImporterOptions
  readonly counts: ImportCounts = { read: 0, completed: 0, rejected: 0, parked: 0, delayed: 0, duplicates: 0 }
  readonly rejections: Rejections = new Rejections()
  /** By aggregate that has a row under way: the rows behind it. */
  readonly #queues = new Map<string, Waiting[]>()
  #underWay = 0
  #waiting = 0
  #waitingBytes = 0
  #bytesRead = 0
  #failure: LineError | null = null
  #isStopped = false
  #wake: (() => void) | null = null

  constructor(options: ImporterOptions) {
    this.#o = options
  }

  /** Takes no more rows; those under way are waited for. */
  stop(): void {
    this.#isStopped = true
    this.#notify()
  }

  /**
   * Resolves when every row has its outcome.
   *
   * @throws LineError for the first row that is malformed or refused. All rows before it are done, and some after it may be
   */
  async run(rows: AsyncIterable<ImportRow>): Promise<void> {
    try {
      for await (const row of rows) {
        this.#take(row)
        while (this.#isFull && !this.#isOver) await this.#change()
        if (this.#isOver) break
      }
    } catch (error) {
      if (!(error instanceof LineError)) throw error
      this.#fail(error)
    }
    while (this.#underWay > 0) await this.#change()
    if (this.#failure !== null) throw this.#failure
  }

  get #isOver(): boolean {
    return this.#isStopped || this.#failure !== null
  }

  get #isFull(): boolean {
    if (this.#underWay >= this.#o.concurrency) return true
    return this.#waiting >= waitingRowsMax || this.#waitingBytes >= waitingBytesMax
  }

  #take(row: ImportRow): void {
    const bytes = row.bytes - this.#bytesRead
    this.#bytesRead = row.bytes
    const { command } = row
    if (command === null) return
    const key = `${command.aggregate}/${command.id}`
    const queue = this.#queues.get(key)
    if (queue === undefined) {
      this.#queues.set(key, [])
      this.#underWay++
      void this.#work(key, { row, command, bytes })
      return
    }
    queue.push({ row, command, bytes })
    this.#waiting++
    this.#waitingBytes += bytes
  }

  /** One aggregate's rows, as long as there are any. */
  async #work(key: string, first: Waiting): Promise<void> {
    for (let next: Waiting | undefined = first; next !== undefined; next = this.#next(key)) {
      const { row, command } = next
      if (this.#isCut(row)) continue
      try {
        const outcome = await this.#ask(command)
        this.#count(outcome)
        this.rejections.note(command, row.line, outcome)
      } catch (error) {
        const message = isCommanderError(error) ? `${error.code}: ${error.message}` : messageOf(error)
        this.#fail(new LineError(message, { line: row.line, cause: error }))
      }
      this.#o.progress(this.counts, this.#bytesRead - this.#waitingBytes)
    }
    this.#queues.delete(key)
    this.#underWay--
    this.#notify()
  }

  /** What waits when the import ends stays undone; but all lines before one that is wrong are done. */
  #isCut({ line }: ImportRow): boolean {
    return this.#isStopped || (this.#failure !== null && line > this.#failure.line)
  }

  #next(key: string): Waiting | undefined {
    const next = this.#queues.get(key)?.shift()
    if (next === undefined) return undefined
    this.#waiting--
    this.#waitingBytes -= next.bytes
    this.#notify()
    return next
  }

  async #ask(command: ImportCommand): Promise<ClientOutcome> {
    const { execute, newKey, nowMs, sleep, timeoutMs } = this.#o
    const key = command.idempotencyKey ?? newKey()
    const endsAtMs = nowMs() + timeoutMs
    for (;;) {
      try {
        return await execute(command, key)
      } catch (error) {
        if (!isPassing(error) || nowMs() >= endsAtMs) throw error
      }
      await sleep(retryDelayMs)
    }
  }

  #count(outcome: ClientOutcome): void {
    this.counts.read++
    if (outcome.duplicate) this.counts.duplicates++
    else this.counts[countOf(outcome)]++
  }

  #fail(error: LineError): void {
    if (this.#failure === null || error.line < this.#failure.line) this.#failure = error
    this.#notify()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #notify(): void {
    this.#wake?.()
    this.#wake = null
  }
}

/** The database may be starting again: it was there when the import began. */
function isPassing(error: unknown): error is CommanderError {
  return isCommanderError(error) && (error.retryable || error.code === 'no_database')
}

function countOf({ outcome }: ClientOutcome): 'completed' | 'rejected' | 'parked' | 'delayed' {
  switch (outcome) {
    case 'completed':
      return 'completed'
    case 'received':
      return 'delayed'
    case 'rejected':
      return 'rejected'
    case 'parked':
    case 'skipped':
      return 'parked'
    default:
      return unreachable(outcome)
  }
}
