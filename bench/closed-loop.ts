/** What one run of a closed loop found. */
export interface LoadResult {
  readonly concurrency: number
  /** Answered within the measured time. */
  readonly commands: number
  readonly seconds: number
  readonly commandsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** How long: so many seconds, or until so many commands are answered. */
export type LoadLength = { readonly seconds: number } | { readonly commands: number }

interface Run {
  readonly concurrency: number
  readonly commands: number
  readonly startedMs: number
  readonly latenciesMs: number[]
  readonly ended: (result: LoadResult) => void
  sent: number
  inFlight: number
  result: LoadResult | null
}

/**
 * A closed loop: `concurrency` slots, each with one command under way at any time, the next sent when the answer comes.
 * The limit and the database are driven by this same code.
 */
export class ClosedLoop {
  readonly #send: (slot: number) => void
  readonly #sentAtMs: Float64Array
  #run: Run | null = null

  /** `send` sends one command for a slot; whoever gets its answer calls `answered` with the slot. */
  constructor(slots: number, send: (slot: number) => void) {
    this.#send = send
    this.#sentAtMs = new Float64Array(slots)
  }

  /** Resolves when the last answer has come, with what was answered while the run lasted. */
  run(concurrency: number, length: LoadLength): Promise<LoadResult> {
    return new Promise((ended) => {
      const commands = 'commands' in length ? length.commands : Number.POSITIVE_INFINITY
      const run: Run = {
        concurrency,
        commands,
        startedMs: performance.now(),
        latenciesMs: [],
        ended,
        sent: 0,
        inFlight: 0,
        result: null,
      }
      this.#run = run
      for (let slot = 0; slot < Math.min(concurrency, commands); slot++) this.#sendNext(run, slot)
      if ('seconds' in length) setTimeout(() => this.#end(run), length.seconds * 1000)
    })
  }

  answered(slot: number): void {
    const run = this.#run as Run
    run.inFlight--
    if (run.result === null) {
      run.latenciesMs.push(performance.now() - (this.#sentAtMs[slot] as number))
      if (run.sent < run.commands) this.#sendNext(run, slot)
      else if (run.inFlight === 0) this.#end(run)
    } else if (run.inFlight === 0) run.ended(run.result)
  }

  #sendNext(run: Run, slot: number): void {
    run.sent++
    run.inFlight++
    this.#sentAtMs[slot] = performance.now()
    this.#send(slot)
  }

  #end(run: Run): void {
    const seconds = (performance.now() - run.startedMs) / 1000
    const sortedMs = Float64Array.from(run.latenciesMs).sort()
    run.result = {
      concurrency: run.concurrency,
      commands: sortedMs.length,
      seconds,
      commandsPerSecond: sortedMs.length / seconds,
      p50Ms: quantile(sortedMs, 0.5),
      p99Ms: quantile(sortedMs, 0.99),
    }
    if (run.inFlight === 0) run.ended(run.result)
  }
}

export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
