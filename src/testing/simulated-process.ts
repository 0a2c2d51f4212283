import type { Environment, Log, LogFields, Timer } from '../kernel/environment.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { Trace } from './trace.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Unwinds the stack of a process that was killed in the middle of a step; everything it would have done is void. */
export class ProcessKilled extends Error {
  override readonly name = 'ProcessKilled'
}

export interface ProcessOptions {
  readonly name: string
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly trace: Trace
  readonly wallMs: () => number
  /** How long the process takes until its next turn, in milliseconds. */
  readonly turnMs: () => number
  /** An exception that nobody caught, or an error that its log calls a bug: never to be expected. */
  readonly bug: (what: string, error: unknown) => void
  readonly killed: (process: SimulatedProcess) => void
  /** Called after each turn of the process in which something happened. */
  readonly ran?: (process: SimulatedProcess) => void
  /** Runs on another host: a power failure of this one does not reach it. */
  readonly isRemote?: boolean
}

/**
 * A process of the simulation: everything that one role is given acts through here, so that it can be killed at any
 * step, or stopped for a while and let go on, as an operating system does.
 */
export class SimulatedProcess {
  readonly name: string
  readonly isRemote: boolean
  readonly environment: Environment
  readonly #o: ProcessOptions
  #isAlive = true
  #isInTurn = false
  #resumesAtMs = 0
  #lastTurnMs = 0
  /** What came in while it was stopped, in order. */
  #held: (() => void)[] = []
  #stepsLeft: number = Number.POSITIVE_INFINITY
  #stepsToSuspension: number = Number.POSITIVE_INFINITY
  #suspensionMs = 0

  constructor(options: ProcessOptions) {
    this.#o = options
    this.name = options.name
    this.isRemote = options.isRemote ?? false
    this.environment = {
      clock: { wallMs: options.wallMs, monotonicMs: () => options.time.nowMs },
      scheduler: { after: (delayMs, run) => this.#after(delayMs, run), soon: (run) => this.#soon(run) },
      random: options.random,
      log: this.#log({}),
    }
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get isSuspended(): boolean {
    return this.#held.length > 0 || this.#o.time.nowMs < this.#resumesAtMs
  }

  /** As kill -9. */
  kill(why: string): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.#held = []
    this.#o.trace.note(this.#o.time.nowMs, this.name, `killed: ${why}`)
    this.#o.killed(this)
  }

  /** Kills it in the middle of what it will be doing: `steps` actions on the world from now. */
  killAfterSteps(steps: number): void {
    this.#stepsLeft = steps
  }

  /** It gets no processor for so long; what comes in meanwhile waits. */
  suspend(durationMs: number): void {
    this.#o.trace.note(this.#o.time.nowMs, this.name, `suspended for ${durationMs} ms`)
    this.#resumesAtMs = Math.max(this.#resumesAtMs, this.#o.time.nowMs + durationMs)
    this.#o.time.at(this.#resumesAtMs, () => this.#resume())
  }

  /** The same in the middle of what it will be doing: what it was about to send leaves when it goes on. */
  suspendAfterSteps(steps: number, durationMs: number): void {
    this.#stepsToSuspension = steps
    this.#suspensionMs = durationMs
  }

  /** Every action of the process on the world passes here first. @throws ProcessKilled */
  step(): void {
    if (!this.takeStep()) throw new ProcessKilled(this.name)
  }

  /** The same for an action that is simply not done by a dead process. @returns whether it lives */
  takeStep(): boolean {
    if (this.#isAlive && --this.#stepsLeft < 0) this.kill('in the middle of a step')
    if (this.#isAlive && --this.#stepsToSuspension < 0) this.#suspendNow()
    // What a promise goes on with has no stack to unwind: it runs to its end and reaches nobody.
    if (!this.#isAlive && this.#isInTurn) throw new ProcessKilled(this.name)
    return this.#isAlive
  }

  /** The same for an action that the world may still see done. */
  stepAfter(): boolean {
    if (!this.#isAlive) throw new ProcessKilled(this.name)
    if (--this.#stepsLeft >= 0) return true
    this.kill('just after an action')
    return false
  }

  /** Something reaches the process from outside, by a caller that deals with exceptions in its own way. */
  input(run: () => void): void {
    if (!this.#isAlive) return
    if (this.isSuspended) this.#held.push(run)
    else this.#guarded(run, true)
  }

  /** Something that the process waited for is over. */
  completion(run: () => void): void {
    if (!this.#isAlive) return
    if (this.isSuspended) this.#held.push(run)
    else this.#guarded(run, false)
  }

  #suspendNow(): void {
    this.#stepsToSuspension = Number.POSITIVE_INFINITY
    this.suspend(this.#suspensionMs)
  }

  #resume(): void {
    if (!this.#isAlive || this.#o.time.nowMs < this.#resumesAtMs) return
    const next = this.#held.shift()
    if (next === undefined) return
    this.#guarded(next, false)
    if (this.#held.length > 0) this.#o.time.after(this.#o.turnMs(), () => this.#resume())
  }

  /** @param passOn the caller has a way of its own to deal with an exception, as the transport has. */
  #guarded(run: () => void, passOn: boolean): void {
    if (!this.#isAlive) return
    this.#isInTurn = true
    try {
      run()
      if (this.#isAlive) this.#o.ran?.(this)
    } catch (error) {
      if (!this.#isAlive || error instanceof ProcessKilled) {
        if (passOn) throw error
        return
      }
      this.#o.bug(`${this.name}: uncaught`, error)
      if (passOn) throw error
      this.kill('an exception that nobody caught')
    } finally {
      this.#isInTurn = false
    }
  }

  #after(delayMs: number, run: () => void): Timer {
    const { time } = this.#o
    let isCancelled = false
    const due = (): void => {
      if (!isCancelled) run()
    }
    const cancel = time.at(time.nowMs + delayMs + this.#o.turnMs(), () => this.completion(due))
    return {
      cancel: () => {
        isCancelled = true
        cancel()
      },
    }
  }

  /** In the order in which they were asked for, as one process does. */
  #soon(run: () => void): void {
    const { time } = this.#o
    this.#lastTurnMs = Math.max(this.#lastTurnMs, time.nowMs + this.#o.turnMs())
    const atMs = this.#lastTurnMs
    // Equal times would be put in order by lot.
    this.#lastTurnMs += 1e-6
    time.at(atMs, () => this.completion(run))
  }

  #log(base: LogFields): Log {
    const write = (level: string) => (fields: LogFields, message: string) => {
      if (!this.#isAlive) return
      this.#o.trace.note(this.#o.time.nowMs, this.name, `${level}: ${message}`)
      const isBug = (level === 'error' || level === 'warn') && fields['code'] === 'internal'
      if (isBug) this.#o.bug(`${this.name}: ${message}`, fields['err'])
    }
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (fields) => this.#log({ ...base, ...fields }),
    }
  }
}
