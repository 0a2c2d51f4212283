import type { Environment, Log, Timer } from '../kernel/environment.ts'
import type { ChildReport, PreviousExit } from './child-report.ts'
import type { ChildSpecification } from './child-specification.ts'
import { RestartBudget } from './restart-budget.ts'
import type { ExitReport, SpawnedChild, Spawner } from './spawner.ts'

/**
 * | state      | process | leaves it when                                                            |
 * |------------|---------|---------------------------------------------------------------------------|
 * | waiting    | none    | all that it waits for are ready: starting                                 |
 * | starting   | runs    | it reports ready: ready; it ends: backoff; told to stop: stopping         |
 * | ready      | runs    | it reports starting (catching up again): starting; as above               |
 * | recycling  | runs    | SIGTERM sent for its memory; it ends: backoff; told to stop: stopping      |
 * | backoff    | none    | the delay is over: starting; told to stop: stopped                        |
 * | stopping   | runs    | SIGTERM sent; it ends: stopped                                            |
 * | stopped    | none    | never                                                                     |
 */
export type ChildState = 'waiting' | 'starting' | 'ready' | 'recycling' | 'backoff' | 'stopping' | 'stopped'

export interface SupervisedChildOwner {
  /** The state is another one than before. */
  changed(child: SupervisedChild): void
  /** It ended without being told to; called before a restart is planned. Answer false to keep it down. */
  mayRestart(child: SupervisedChild, exit: ExitReport): boolean
  /** This restart is over the intensity. Answer false to keep it down. */
  mayExceed(child: SupervisedChild, exit: ExitReport): boolean
}

/** Event loops that stand still for longer are worth a line in the log. */
const lagWarningMs = 1000
const mebibyte = 1 << 20

/** One child's lives. Deterministic given its environment and spawner. */
export class SupervisedChild {
  readonly specification: ChildSpecification
  readonly #environment: Environment
  readonly #spawner: Spawner
  readonly #owner: SupervisedChildOwner
  readonly #log: Log
  readonly #budget: RestartBudget
  #state: ChildState = 'waiting'
  #process: SpawnedChild | undefined
  #report: ChildReport | undefined
  #timer: Timer | undefined
  #lastSeenMs = 0
  #readySinceMs: number | undefined
  /** Why the supervisor ended this life, if it did. */
  #endedFor: 'watchdog' | 'rss' | undefined
  #previousExit: PreviousExit | undefined
  #restarts = 0
  #degraded = false
  #everReady = false

  constructor(
    specification: ChildSpecification,
    environment: Environment,
    spawner: Spawner,
    owner: SupervisedChildOwner,
  ) {
    this.specification = specification
    this.#environment = environment
    this.#spawner = spawner
    this.#owner = owner
    this.#log = environment.log.child({ child: specification.name })
    this.#budget = new RestartBudget(specification.restart, environment.random)
  }

  get name(): string {
    return this.specification.name
  }

  get state(): ChildState {
    return this.#state
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  get restarts(): number {
    return this.#restarts
  }

  get report(): ChildReport | undefined {
    return this.#report
  }

  /** Over its intensity, and not stable since. */
  get degraded(): boolean {
    return this.#degraded
  }

  get everReady(): boolean {
    return this.#everReady
  }

  start(): void {
    this.#report = undefined
    this.#readySinceMs = undefined
    this.#endedFor = undefined
    this.#lastSeenMs = this.#environment.clock.monotonicMs()
    const request = { specification: this.specification, previousExit: this.#previousExit }
    const spawned = this.#spawner.spawn(request, (exit) => this.#ended(exit))
    this.#process = spawned
    this.#log.info({ pid: spawned.pid, restarts: this.#restarts }, 'child started')
    this.#become('starting')
  }

  /** @returns false if the report is not of the present life: whoever sent it must not be believed. */
  take(report: ChildReport): boolean {
    if (this.#process === undefined || report.pid !== this.#process.pid) return false
    const nowMs = this.#environment.clock.monotonicMs()
    this.#lastSeenMs = nowMs
    this.#report = report
    if (report.eventLoopLagMs > lagWarningMs) {
      this.#log.warn(
        { pid: report.pid, eventLoopLagMs: report.eventLoopLagMs },
        'the event loop of this child stood still',
      )
    }
    if (this.#state !== 'starting' && this.#state !== 'ready') return true
    if (report.state === 'ready') {
      this.#readySinceMs ??= nowMs
      this.#everReady = true
    }
    this.#checkMemory(report)
    if (this.#state === 'starting' || this.#state === 'ready')
      this.#become(report.state === 'ready' ? 'ready' : 'starting')
    return true
  }

  /** @param excusedMs how long the supervisor itself did not run: nobody could have reported to it meanwhile. */
  watch(nowMs: number, excusedMs: number): void {
    if (this.#process === undefined || this.#endedFor === 'watchdog') return
    this.#lastSeenMs += excusedMs
    if (this.#degraded && this.#stableFor(nowMs) >= this.specification.restart.periodMs) this.#recover()
    if (this.#state !== 'starting' && this.#state !== 'ready') return
    const silentMs = nowMs - this.#lastSeenMs
    const allowedMs = this.#report === undefined ? this.specification.firstReportMs : this.specification.watchdogMs
    if (silentMs <= allowedMs) return
    this.#endedFor = 'watchdog'
    this.#log.error({ pid: this.pid, silentMs, allowedMs }, 'child does not report; killing it')
    this.#process.kill()
  }

  stop(): void {
    if (this.#state === 'stopping' || this.#state === 'stopped') return
    this.#timer?.cancel()
    if (this.#process === undefined) {
      this.#become('stopped')
    } else {
      this.#terminate()
      this.#become('stopping')
    }
  }

  /** Ends it at once and for good. */
  kill(): void {
    this.stop()
    this.#process?.kill()
  }

  #checkMemory(report: ChildReport): void {
    const { maxRssMb } = this.specification.resources
    if (maxRssMb === undefined || report.rssBytes <= maxRssMb * mebibyte) return
    this.#endedFor = 'rss'
    this.#log.warn({ pid: report.pid, rssBytes: report.rssBytes, maxRssMb }, 'child is over its memory; restarting it')
    this.#terminate()
    this.#become('recycling')
  }

  #terminate(): void {
    this.#timer?.cancel()
    this.#process?.terminate()
    this.#timer = this.#environment.scheduler.after(this.specification.shutdownMs, () => {
      this.#log.warn(
        { pid: this.pid, shutdownMs: this.specification.shutdownMs },
        'child did not stop in time; killing it',
      )
      this.#process?.kill()
    })
  }

  #ended(exit: ExitReport): void {
    this.#timer?.cancel()
    const pid = this.pid
    this.#process = undefined
    this.#previousExit = {
      code: exit.code,
      signal: exit.signal,
      reason: this.#endedFor ?? reasonOf(exit),
    }
    if (this.#state === 'stopping') {
      this.#log.info({ pid, code: exit.code, signal: exit.signal }, 'child stopped')
      this.#become('stopped')
      return
    }
    this.#log.error({ pid, ...this.#previousExit, error: exit.fatal }, 'child ended')
    if (this.#owner.mayRestart(this, exit)) this.#planRestart(exit)
    else this.#become('stopped')
  }

  #planRestart(exit: ExitReport): void {
    const nowMs = this.#environment.clock.monotonicMs()
    const { delayMs, exceeded } = this.#budget.spend(nowMs, this.#stableFor(nowMs))
    if (exceeded) this.#degraded = true
    if (exceeded && !this.#owner.mayExceed(this, exit)) {
      this.#become('stopped')
      return
    }
    this.#restarts++
    this.#timer = this.#environment.scheduler.after(delayMs, () => this.start())
    this.#become('backoff')
  }

  #stableFor(nowMs: number): number {
    return this.#readySinceMs === undefined ? 0 : nowMs - this.#readySinceMs
  }

  #recover(): void {
    this.#degraded = false
    this.#log.info({ pid: this.pid }, 'child is stable again')
    this.#owner.changed(this)
  }

  #become(state: ChildState): void {
    if (state === this.#state) return
    this.#state = state
    this.#owner.changed(this)
  }
}

function reasonOf({ signal, fatal }: ExitReport): PreviousExit['reason'] {
  if (signal !== null) return 'signal'
  if (fatal?.code === 'state_diverged') return 'quarantine'
  return fatal?.code === 'stale_state' ? 'behind' : 'exit'
}
