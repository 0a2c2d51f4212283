import type { HttpExchange, HttpStream } from '../../../src/gateway/http-route.ts'
import type { Environment } from '../../../src/kernel/environment.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import { isCommanderError } from '../../../src/kernel/errors.ts'
import { ManualScheduler } from '../ipc/manual-scheduler.ts'

export function manualEnvironment(): { readonly environment: Environment; readonly scheduler: ManualScheduler } {
  const scheduler = new ManualScheduler()
  const clock = { wallMs: () => scheduler.nowMs, monotonicMs: () => scheduler.nowMs }
  const random = { uint32: () => 4, uuid: () => '00000000-0000-4000-8000-000000000000' }
  return { environment: { clock, scheduler, random, log: silentLog }, scheduler }
}

/** Keeps its answer, and is closed by the test. */
export class RecordedExchange implements HttpExchange {
  readonly params = {}
  readonly query = {}
  readonly body = undefined
  readonly answers: unknown[] = []
  isOpen = true
  readonly #closed: (() => void)[] = []

  header(_name: string): string | undefined {
    return undefined
  }

  onClosed(run: () => void): void {
    this.#closed.push(run)
  }

  close(): void {
    this.isOpen = false
    for (const run of this.#closed) run()
  }

  json(status: number, body: unknown): void {
    this.#answer({ status, body })
  }

  text(status: number, body: string): void {
    this.#answer({ status, body })
  }

  problem(body: unknown): void {
    this.#answer(body)
  }

  fail(error: unknown): void {
    this.#answer(isCommanderError(error) ? error.code : error)
  }

  stream(): HttpStream {
    throw new Error('not recorded')
  }

  #answer(answer: unknown): void {
    if (!this.isOpen) return
    this.answers.push(answer)
    this.close()
  }
}

/** A client that takes so many texts, and then no more before `drain`. */
export class SlowStream implements HttpStream {
  readonly texts: string[] = []
  isEnded = false
  failure: unknown = null
  readonly #takes: number
  #left: number
  #drained: () => void = () => {}

  constructor(takes: number) {
    this.#takes = takes
    this.#left = takes
  }

  write(text: string): boolean {
    this.texts.push(text)
    return --this.#left > 0
  }

  onDrain(run: () => void): void {
    this.#drained = run
  }

  drain(): void {
    this.#left = this.#takes
    this.#drained()
  }

  end(): void {
    this.isEnded = true
  }

  fail(error: unknown): void {
    this.failure = error
  }
}
