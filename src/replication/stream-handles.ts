import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from './batch.ts'
import type { Appended, AppendOptions, ReadOptions, StreamReader, StreamWriter } from './single-write-journal.ts'
import { encodeEntries } from './stream-entries.ts'

/** A stream as its readers and writers need it. */
export interface HandledStream {
  append(payload: Buffer, entryCount: number, options: AppendOptions): Promise<Appended>
  trim(before: Lsn): Promise<void>
  roll(): Promise<void>
  read(from: Lsn, options: ReadOptions): AsyncIterable<ReplicatedBatch>
  known(): Promise<Lsn>
  linearizable(): Promise<Lsn>
}

export class HandledWriter implements StreamWriter {
  readonly #stream: HandledStream
  readonly #name: string
  readonly #payloadBytesMax: number | undefined
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false

  constructor(stream: HandledStream, name: string, payloadBytesMax?: number) {
    this.#stream = stream
    this.#name = name
    this.#payloadBytesMax = payloadBytesMax
  }

  async append(entries: readonly Buffer[], options: AppendOptions = {}): Promise<Appended> {
    this.#mustBeOpen()
    const payload = encodeEntries(entries, this.#payloadBytesMax)
    return this.#track(this.#stream.append(payload, entries.length, options))
  }

  async trim(before: Lsn): Promise<void> {
    this.#mustBeOpen()
    await this.#track(this.#stream.trim(before))
  }

  async roll(): Promise<void> {
    this.#mustBeOpen()
    await this.#track(this.#stream.roll())
  }

  /** What is under way goes on to its end. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
  }

  #track<Result>(work: Promise<Result>): Promise<Result> {
    this.#underWay.add(work)
    const done = (): void => void this.#underWay.delete(work)
    work.then(done, done)
    return work
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closed(`writer of ${this.#name}`)
  }
}

export class HandledReader implements StreamReader {
  readonly #stream: HandledStream
  readonly #name: string
  readonly #ending = new AbortController()

  constructor(stream: HandledStream, name: string) {
    this.#stream = stream
    this.#name = name
  }

  read(from: Lsn, options: ReadOptions = {}): AsyncIterable<ReplicatedBatch> {
    this.#mustBeOpen()
    const ending = this.#ending.signal
    const signal = options.signal === undefined ? ending : AbortSignal.any([options.signal, ending])
    return this.#stream.read(lsn(Math.max(1, from)), { ...options, signal })
  }

  async tail(mode: 'known' | 'linearizable'): Promise<Lsn> {
    this.#mustBeOpen()
    return mode === 'known' ? this.#stream.known() : this.#stream.linearizable()
  }

  /** Reads that are under way end. */
  async close(): Promise<void> {
    this.#ending.abort()
  }

  #mustBeOpen(): void {
    if (this.#ending.signal.aborted) throw closed(`reader of ${this.#name}`)
  }
}

const closed = (what: string): CommanderError =>
  new CommanderError('invalid_input', `the ${what} is closed: open another`)
