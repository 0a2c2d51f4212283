import { type Environment, silentLog, type Timer } from '../../../src/kernel/environment.ts'
import type { ChildReport, PreviousExit } from '../../../src/supervisor/child-report.ts'
import {
  type ChildSpecification,
  childDefaults,
  type RestartPolicy,
  restartDefaults,
} from '../../../src/supervisor/child-specification.ts'
import type { ExitReport, SpawnedChild, Spawner, SpawnRequest } from '../../../src/supervisor/spawner.ts'
import { Supervision, type SupervisionOutcome } from '../../../src/supervisor/supervision.ts'

/** Time that moves only when told to; randomness is always the middle. */
export class FakeTime {
  nowMs: number = 1_000_000
  #timers: { readonly atMs: number; readonly run: () => void }[] = []

  readonly environment: Environment = {
    clock: { wallMs: () => this.nowMs, monotonicMs: () => this.nowMs },
    scheduler: {
      after: (delayMs, run) => this.#after(delayMs, run),
      soon: (run) => void this.#after(0, run),
    },
    random: { uint32: () => 0x8000_0000, uuid: () => '00000000-0000-4000-8000-000000000000' },
    log: silentLog,
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#timers.splice(this.#timers.indexOf(next), 1)
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.run()
    }
    this.nowMs = untilMs
  }

  /** Time passes and no timer of this process runs: it was stopped or starved. */
  freeze(ms: number): void {
    this.nowMs += ms
  }

  #next(untilMs: number): { readonly atMs: number; readonly run: () => void } | undefined {
    return this.#timers.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0]
  }

  #after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.nowMs + delayMs, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer)
        if (index !== -1) this.#timers.splice(index, 1)
      },
    }
  }
}

export class FakeProcess implements SpawnedChild {
  readonly name: string
  readonly pid: number
  readonly previousExit: PreviousExit | undefined
  readonly signals: string[] = []
  alive: boolean = true
  /** What it does on SIGTERM. */
  obeys: boolean = true
  readonly #onExit: (exit: ExitReport) => void
  readonly #soon: (run: () => void) => void

  constructor(
    { specification, previousExit }: SpawnRequest,
    pid: number,
    soon: (run: () => void) => void,
    onExit: (exit: ExitReport) => void,
  ) {
    this.name = specification.name
    this.pid = pid
    this.previousExit = previousExit
    this.#soon = soon
    this.#onExit = onExit
  }

  terminate(): void {
    this.signals.push('SIGTERM')
    if (this.obeys) this.#soon(() => this.exit({ code: 0, signal: null }))
  }

  kill(): void {
    this.signals.push('SIGKILL')
    this.#soon(() => this.exit({ code: null, signal: 'SIGKILL' }))
  }

  exit(exit: ExitReport): void {
    if (!this.alive) return
    this.alive = false
    this.#onExit(exit)
  }
}

export class FakeWorld implements Spawner {
  readonly time: FakeTime = new FakeTime()
  /** All processes ever spawned, in order. */
  readonly spawned: FakeProcess[] = []
  readonly ended: SupervisionOutcome[] = []
  readyCount: number = 0
  /** New processes ignore SIGTERM. */
  stubborn: boolean = false
  readonly supervision: Supervision

  constructor(specifications: readonly ChildSpecification[]) {
    this.supervision = new Supervision({
      environment: this.time.environment,
      spawner: this,
      specifications,
      events: { ready: () => this.readyCount++, ended: (outcome) => void this.ended.push(outcome) },
    })
  }

  spawn(request: SpawnRequest, onExit: (exit: ExitReport) => void): SpawnedChild {
    const process = new FakeProcess(request, 100 + this.spawned.length, this.time.environment.scheduler.soon, onExit)
    process.obeys = !this.stubborn
    this.spawned.push(process)
    return process
  }

  get names(): string[] {
    return this.spawned.map(({ name }) => name)
  }

  get alive(): string[] {
    return this.spawned.filter(({ alive }) => alive).map(({ name }) => name)
  }

  last(name: string): FakeProcess {
    const process = this.spawned.findLast((each) => each.name === name)
    if (process === undefined) throw new Error(`${name} was never spawned`)
    return process
  }

  report(name: string, more: Partial<ChildReport> = {}): boolean {
    const { pid } = this.last(name)
    return this.supervision.report({
      name,
      role: name,
      pid,
      state: 'ready',
      eventLoopLagMs: 1,
      rssBytes: 1,
      ...more,
    })
  }

  /** Lives in which every running child reports once a second. */
  advanceReporting(ms: number): void {
    for (let passedMs = 0; passedMs < ms; passedMs += 1000) {
      this.time.advance(1000)
      for (const process of this.spawned.filter(({ alive }) => alive)) this.report(process.name)
    }
  }

  stateOf(name: string): string {
    return this.supervision.children.find((child) => child.name === name)?.state ?? 'absent'
  }
}

export function specification(name: string, more: Partial<ChildSpecification> = {}): ChildSpecification {
  const base = { name, role: name, module: `/${name}.ts`, config: {}, after: [], resources: {}, essential: true }
  return { ...base, restart: restartDefaults, ...childDefaults, ...more }
}

export function restart(more: Partial<RestartPolicy>): RestartPolicy {
  return { ...restartDefaults, ...more }
}
