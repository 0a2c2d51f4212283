import { assert, unreachable } from '../kernel/assert.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { CommanderError, type ErrorCode } from '../kernel/errors.ts'
import type { ChildReport } from './child-report.ts'
import { type ChildSpecification, orderChildren } from './child-specification.ts'
import type { ExitReport, Spawner } from './spawner.ts'
import { SupervisedChild, type SupervisedChildOwner } from './supervised-child.ts'

/**
 * Invariants:
 * S1. A child starts only when all that it waits for are ready. A degraded child that is not essential counts as ready
 *     here, so that a broken application does not keep the gateway down.
 * S2. A child is told to stop only when all that wait for it have stopped.
 * S3. An essential child over its restart intensity ends everything, in order, with an error. Others are tried for ever.
 * S4. What no restart cures ends everything at once: a module or config that does not load on the first start, a
 *     damaged or foreign journal at any time, one that others have given up entries of.
 * S5. A child is never taken for silent for time in which the supervisor itself did not run.
 * S6. `ended` is called once, when no child is left.
 * S7. A child that was added later is one of those above, and stops after them: it serves them, though they do not wait for it. One that
 *     was removed is told to stop, is not started again, and is forgotten when it has ended; nobody may wait for it.
 */
export interface SupervisionEvents {
  /** Once, when every child is ready for the first time; S1 says what counts as ready. */
  ready(): void
  ended(outcome: SupervisionOutcome): void
}

export interface SupervisionOutcome {
  /** 0: told to stop. 1: failed. 2: an application module or the config does not load. */
  readonly exitCode: 0 | 1 | 2
  readonly error?: CommanderError
}

export interface SupervisionOptions {
  readonly environment: Environment
  readonly spawner: Spawner
  readonly specifications: readonly ChildSpecification[]
  readonly events: SupervisionEvents
}

/** With this exit code a child says that its input (module, config) is wrong. */
export const wrongInputExitCode = 2
const watchIntervalMs = 1000

/** S4. */
const incurableCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'foreign_database',
  'journal_corrupt',
  'log_trimmed',
  'unsupported_version',
])

export class Supervision implements SupervisedChildOwner {
  #children: readonly SupervisedChild[]
  readonly #added = new Set<SupervisedChild>()
  readonly #removals = new Map<SupervisedChild, () => void>()
  readonly #environment: Environment
  readonly #events: SupervisionEvents
  readonly #spawner: Spawner
  readonly #byName: Map<string, SupervisedChild>
  #phase: 'new' | 'running' | 'stopping' | 'ended' = 'new'
  #wasReady = false
  #isPreparing = false
  #outcome: SupervisionOutcome = { exitCode: 0 }
  #watchTimer: Timer | undefined
  #watchedAtMs = 0
  #advancing = false
  #advanceAgain = false

  /** @throws CommanderError `invalid_config` if the specifications contradict each other. */
  constructor({ environment, spawner, specifications, events }: SupervisionOptions) {
    this.#environment = environment
    this.#events = events
    this.#spawner = spawner
    this.#children = orderChildren(specifications).map((each) => new SupervisedChild(each, environment, spawner, this))
    this.#byName = new Map(this.#children.map((child) => [child.name, child]))
  }

  /** In start order. */
  get children(): readonly SupervisedChild[] {
    return this.#children
  }

  /** Every essential child is ready. */
  get ready(): boolean {
    if (this.#phase !== 'running') return false
    return this.#children.every((child) => !child.specification.essential || child.state === 'ready')
  }

  get state(): 'starting' | 'ready' | 'stopping' | 'stopped' {
    switch (this.#phase) {
      case 'new':
        return 'starting'
      case 'running':
        return this.ready ? 'ready' : 'starting'
      case 'stopping':
        return 'stopping'
      case 'ended':
        return 'stopped'
      default:
        return unreachable(this.#phase)
    }
  }

  /** @param prepare adds further children: until it is done, nothing is ready for the first time. It does not reject. */
  start(prepare?: () => Promise<void>): void {
    this.#phase = 'running'
    for (const { specification } of this.#children) this.#spawner.prepare?.(specification)
    this.#watchedAtMs = this.#environment.clock.monotonicMs()
    this.#scheduleWatch()
    if (prepare !== undefined) {
      this.#isPreparing = true
      void prepare().then(() => {
        this.#isPreparing = false
        this.#advance()
      })
    }
    this.#advance()
  }

  /** Ends everything, in order, because of what no child did. */
  fail(error: CommanderError): void {
    if (this.#phase !== 'running') return
    this.#environment.log.error({ error }, error.message)
    this.#outcome = { exitCode: 1, error }
    this.stop()
  }

  /**
   * S7.
   * @throws CommanderError `invalid_config`: the name is taken, or it waits for one that does not exist; `not_ready`: everything is stopping
   */
  add(specification: ChildSpecification): void {
    if (this.#phase !== 'running') throw new CommanderError('not_ready', 'the supervisor is not running, or stops')
    orderChildren([...this.#children.map((child) => child.specification), specification])
    const child = new SupervisedChild(specification, this.#environment, this.#spawner, this)
    this.#byName.set(child.name, child)
    this.#children = [...this.#children, child]
    this.#added.add(child)
    this.#advance()
  }

  /** S7. Resolves when it has ended; at once for one that does not exist. */
  remove(name: string): Promise<void> {
    const child = this.#byName.get(name)
    if (child === undefined) return Promise.resolve()
    const followers = this.#children.filter(({ specification }) => specification.after.includes(name))
    assert(followers.length === 0, `${name} is waited for by ${followers.map((follower) => follower.name).join()}`)
    const removal = Promise.withResolvers<void>()
    const former = this.#removals.get(child)
    this.#removals.set(child, () => {
      former?.()
      removal.resolve()
    })
    child.stop()
    this.#advance()
    return removal.promise
  }

  /** Idempotent. */
  stop(): void {
    if (this.#phase !== 'running') return
    this.#phase = 'stopping'
    this.#advance()
  }

  /** Ends all children at once, in no order. */
  kill(): void {
    if (this.#phase === 'ended') return
    this.#phase = 'stopping'
    for (const child of this.#children) child.kill()
  }

  /** @returns false if no such child lives. */
  report(report: ChildReport): boolean {
    return this.#byName.get(report.name)?.take(report) ?? false
  }

  changed(): void {
    this.#advance()
  }

  mayRestart(child: SupervisedChild, exit: ExitReport): boolean {
    if (this.#phase !== 'running') return false
    const wrongInput = exit.code === wrongInputExitCode && !child.everReady && !this.#wasReady
    const incurable = exit.fatal !== undefined && child.specification.essential && incurableCodes.has(exit.fatal.code)
    if (!wrongInput && !incurable) return true
    const code = exit.fatal?.code ?? 'invalid_config'
    this.#fail(wrongInput ? 2 : 1, code, child, exit, 'does not start')
    return false
  }

  mayExceed(child: SupervisedChild, exit: ExitReport): boolean {
    const { maxRestarts, periodMs, maxDelayMs } = child.specification.restart
    if (!child.specification.essential) {
      const fields = { child: child.name, maxRestarts, periodMs, maxDelayMs }
      this.#environment.log.error(
        fields,
        'child is degraded: over its restart intensity; trying again every maxDelayMs',
      )
      return true
    }
    this.#fail(1, 'process_failed', child, exit, `ended more than ${maxRestarts} times within ${periodMs} ms`)
    return false
  }

  /** One pass over the children for any change; changes made by the pass itself ask for another one. */
  #advance(): void {
    this.#advanceAgain = true
    if (this.#advancing) return
    this.#advancing = true
    while (this.#advanceAgain) {
      this.#advanceAgain = false
      this.#forget()
      if (this.#phase === 'running') this.#advanceStart()
      else if (this.#phase === 'stopping') this.#advanceStop()
    }
    this.#advancing = false
  }

  /** S7. */
  #forget(): void {
    for (const [child, removed] of this.#removals) {
      if (child.state !== 'stopped') continue
      this.#removals.delete(child)
      this.#byName.delete(child.name)
      this.#added.delete(child)
      this.#children = this.#children.filter((other) => other !== child)
      removed()
    }
  }

  #advanceStart(): void {
    for (const child of this.#children) {
      if (child.state === 'waiting' && child.specification.after.every((name) => this.#isSettled(name))) child.start() // S1
    }
    if (this.#wasReady || this.#isPreparing || !this.#children.every((child) => this.#isSettled(child.name))) return
    this.#wasReady = true
    this.#events.ready()
  }

  #isSettled(name: string): boolean {
    const child = this.#byName.get(name)
    return child !== undefined && (child.state === 'ready' || (child.degraded && !child.specification.essential))
  }

  #advanceStop(): void {
    for (const child of this.#children) {
      const followers = this.#children.filter((other) => this.#follows(other, child))
      if (followers.every((other) => other.state === 'stopped')) child.stop() // S2
    }
    if (!this.#children.every((child) => child.state === 'stopped')) return
    this.#phase = 'ended'
    this.#watchTimer?.cancel()
    this.#events.ended(this.#outcome) // S6
  }

  /** S2, S7. */
  #follows(other: SupervisedChild, child: SupervisedChild): boolean {
    return other.specification.after.includes(child.name) || (this.#added.has(child) && !this.#added.has(other))
  }

  /** S3, S4. The first failure is the one to tell; those that follow it are its consequences. */
  #fail(exitCode: 1 | 2, code: ErrorCode, child: SupervisedChild, exit: ExitReport, what: string): void {
    const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`
    const why = exit.fatal === undefined ? `its last ${how}; its log lines say why` : exit.fatal.message
    const details = {
      child: child.name,
      code: exit.code,
      signal: exit.signal,
      ...(exit.fatal === undefined ? {} : { cause: exit.fatal }),
    }
    const error = new CommanderError(code, `${child.name} ${what}: ${why}`, { details, retryable: false })
    this.#environment.log.error({ error }, 'degraded: stopping the database')
    this.#outcome = { exitCode, error }
    this.stop()
  }

  #scheduleWatch(): void {
    this.#watchTimer = this.#environment.scheduler.after(watchIntervalMs, () => this.#watch())
  }

  #watch(): void {
    const nowMs = this.#environment.clock.monotonicMs()
    const elapsedMs = nowMs - this.#watchedAtMs
    this.#watchedAtMs = nowMs
    // S5: stopped by a signal, a suspended host or a starved CPU.
    const excusedMs = elapsedMs > 2 * watchIntervalMs ? elapsedMs - watchIntervalMs : 0
    for (const child of this.#children) child.watch(nowMs, excusedMs)
    this.#scheduleWatch()
  }
}
