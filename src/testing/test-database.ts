import { createWorkflowDetector, type WorkflowDetector } from '../application/workflow-detector-adapter.ts'
import type { Database } from '../client/options.ts'
import { SocketDatabase } from '../client/socket-database.ts'
import { journalFrames } from '../ipc/journal-protocol.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { Application } from '../sdk/application.ts'
import { assertApplicationsFit } from '../sdk/application-set.ts'
import { readPosition } from '../tables/meta.ts'
import { type CrashPoint, CrashPoints, type EntryPlace, type PlannedCrash } from './crash-points.ts'
import { type Duration, millisecondsOf } from './duration.ts'
import { type EffectCall, EffectLog } from './effect-log.ts'
import { IdleScheduler } from './idle-scheduler.ts'
import { entriesIn, JournalWatch } from './journal-watch.ts'
import { Pump } from './pump.ts'
import { pumped } from './pumped-client.ts'
import { fastPace, SimulatedHost } from './simulated-host.ts'
import { ProcessKilled, type SimulatedProcess } from './simulated-process.ts'
import type { Tap } from './tapped-transport.ts'
import { TestCluster, type TestRole } from './test-cluster.ts'
import { Trace } from './trace.ts'

export interface TestDatabaseOptions {
  readonly applications: readonly Application[]
  /** The same seed and the same calls give the same history. Default 1. */
  readonly seed?: number
  /** Names in `warnings` what the code of workflows calls and must not, such as `Date.now`. Default true. */
  readonly detector?: boolean
  /** What the clock shows at first. Default 2026-01-01T00:00:00Z. */
  readonly startAt?: Date | string
}

export interface TestClock {
  /** Milliseconds since 1970. Passes while somebody waits for the database, and by `advance`. */
  now(): number
  /** Settles, and then has so much time pass, and everything that is due meanwhile happen, in its order. */
  advance(duration: Duration): Promise<void>
}

export interface CrashOptions {
  /** Who dies. `all` is a power failure: what was not flushed may be lost. Default: `all`. */
  readonly role?: TestRole | 'all'
  /** It dies by its own fault, as by an exception that nobody caught; a command or workflow that does so twice is parked. Default false. */
  readonly byItself?: boolean
  /** For `crashAt`: the first, second… time that the point is reached. Default 1. */
  readonly occurrence?: number
}

/** A whole database in this process, on virtual time and a virtual disk. Whatever dies in it comes back by itself. */
export interface TestDatabase extends Database {
  readonly clock: TestClock
  /** The calls of all effects, in order. An effect that was `lost` may have done its work. */
  readonly effects: readonly EffectCall[]
  /** What the processes of the database warned of. */
  readonly warnings: readonly string[]
  /**
   * Resolves when there is nothing to do: everything that was asked for is done and readable, or waits for time to pass (or
   * for somebody outside).
   */
  settle(): Promise<void>
  /** Kills a process or everything, now. */
  crash(role?: TestRole | 'all', options?: Pick<CrashOptions, 'byItself'>): void
  /** Kills at a place between what is done and what is recorded, once. */
  crashAt(point: CrashPoint, options?: CrashOptions): PlannedCrash
}

const startAtDefault = '2026-01-01T00:00:00Z'
/** When nothing was written for so long, what is under way waits for something. */
const quietMs = 1_000
const retryMs = 1

/**
 * The whole database in this process, on virtual time and a virtual disk: the same roles as in production, without
 * processes, files or waiting. Effects of workflows are real, and should be fakes of yours: a promise that does not settle
 * within 100 ms of real time no longer holds virtual time back.
 *
 * @throws CommanderError `invalid_module`
 * @example
 * const db = await testDatabase({ applications: [shop] })
 * await db.execute('workflow:order', '17', 'start', { input: { amountCents: 500 } })
 * db.crashAt('effect charge: after')
 * await db.clock.advance('30d')
 */
export async function testDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  assertApplicationsFit(options.applications)
  const world = new TestWorld(options)
  await world.open()
  return world.asDatabase()
}

class TestWorld {
  readonly #host: SimulatedHost
  readonly #effects: EffectLog
  readonly #pump: Pump
  readonly #cluster: TestCluster
  readonly #points = new CrashPoints()
  readonly #client: SocketDatabase
  readonly #clientTimers: IdleScheduler
  readonly #warnings: string[] = []
  readonly #watches = new Map<EntryPlace, JournalWatch>()
  readonly #detector: WorkflowDetector | null
  #isClosed = false

  constructor({ applications, seed = 1, startAt = startAtDefault, detector = true }: TestDatabaseOptions) {
    this.#host = new SimulatedHost({
      seed,
      trace: new Trace((line) => this.#noteWarning(line)),
      pace: fastPace,
      startWallMs: new Date(startAt).getTime(),
      bug: (what, error) => this.#bug(what, error),
      killed: (process) => this.#killed(process),
      ran: (process) => this.#ran(process),
    })
    this.#effects = new EffectLog({
      wallMs: () => this.#host.wallMs,
      processOf: (application) => this.#cluster.processOf(application),
      reached: (call, place) => this.#points.effect(call, place),
    })
    this.#pump = new Pump(this.#host.time, this.#effects)
    this.#detector = detector ? createWorkflowDetector(({ message }) => this.#warnings.push(message)) : null
    this.#cluster = new TestCluster({
      host: this.#host,
      applications: applications.map((application) => this.#effects.observed(application)),
      isolation: this.#detector,
      tap: (process) => this.#tap(process),
      bug: (what, error) => this.#bug(what, error),
    })
    const client = this.#host.start('client', true)
    this.#clientTimers = new IdleScheduler(client.environment.scheduler)
    this.#client = new SocketDatabase({
      environment: { ...client.environment, scheduler: this.#clientTimers },
      transport: this.#host.transportOf(client),
      addresses: ['gateway'],
    })
  }

  async open(): Promise<void> {
    this.#cluster.start()
    await this.#pump.untilTrue(() => this.#cluster.isReady)
    await this.#call(() => this.#connect())
    await this.#settle()
  }

  asDatabase(): TestDatabase {
    const controls = {
      clock: { now: () => this.#host.wallMs, advance: (duration: Duration) => this.#advance(duration) },
      effects: this.#effects.calls,
      warnings: this.#warnings,
      settle: () => this.#settle(),
      crash: (role: TestRole | 'all' = 'all', { byItself = false } = {}) => this.#crash(role, byItself),
      crashAt: (point: CrashPoint, options: CrashOptions = {}) => this.#crashAt(point, options),
      close: () => this.#close(),
    }
    return pumped(this.#client, controls, {
      call: (make) => this.#call(make),
      forAMoment: (make) => this.#forAMoment(make),
    }) as unknown as TestDatabase
  }

  async #connect(): Promise<void> {
    for (;;) {
      try {
        await this.#client.open()
        return
      } catch (error) {
        if (!isCommanderError(error) || error.code === 'internal') throw error
        await new Promise<void>((resolve) => void this.#host.time.after(retryMs, resolve))
      }
    }
  }

  /** Has time pass until the call has its answer. */
  async #call<Value>(make: () => Promise<Value>): Promise<Value> {
    this.#clientTimers.begin()
    try {
      return await this.#pump.until(make())
    } finally {
      this.#clientTimers.end()
    }
  }

  /** Has time pass for a moment; then the promise waits for what others do, such as the next event for a subscriber. */
  async #forAMoment<Value>(make: () => Promise<Value>): Promise<Value> {
    this.#clientTimers.begin()
    try {
      const moment = new Promise<void>((resolve) => void this.#host.time.after(quietMs, resolve))
      const promise = make()
      await this.#pump.until(Promise.race([promise.catch(() => {}), moment]))
      return await promise
    } finally {
      this.#clientTimers.end()
    }
  }

  async #advance(duration: Duration): Promise<void> {
    await this.#settle()
    await this.#pump.pass(millisecondsOf(duration))
    // What is due at the very end has begun, and is done too.
    await this.#settle()
  }

  async #settle(): Promise<void> {
    this.#assertOpen()
    let written = -1
    let sinceMs = 0
    await this.#pump.untilTrue(() => {
      const { journal } = this.#cluster
      if (journal === null || !this.#cluster.isReady || !this.#isStored(journal)) return false
      if (this.#hasNothingToDo(journal.writtenLsn)) return true
      if (written !== journal.writtenLsn) {
        written = journal.writtenLsn
        sinceMs = this.#host.time.nowMs
      }
      return this.#host.time.nowMs - sinceMs >= quietMs
    })
  }

  /** Flushed, and readers see it. */
  #isStored({ writtenLsn, flushedLsn }: { readonly writtenLsn: number; readonly flushedLsn: number }): boolean {
    return flushedLsn === writtenLsn && readPosition(this.#host.store.now()).applied === writtenLsn
  }

  #hasNothingToDo(writtenLsn: number): boolean {
    const { state } = this.#cluster
    if (state === null || state.lsn !== writtenLsn) return false
    const { commands, activations, outbox } = state
    return commands.byLsn.size === 0 && activations.byKey.size === 0 && outbox.bySource.size === 0
  }

  #crash(role: TestRole | 'all', byItself: boolean): void {
    this.#assertOpen()
    if (role === 'all') this.#cluster.losePower()
    else this.#cluster.crash(role, byItself)
  }

  #crashAt(point: CrashPoint, { role = 'all', byItself = false, occurrence = 1 }: CrashOptions): PlannedCrash {
    this.#assertOpen()
    const planned = this.#points.plan(point, occurrence, () => this.#crash(role, byItself))
    const { journal } = this.#cluster
    for (const place of ['written', 'flushed'] as const) {
      if (!this.#points.waitsFor(place) || this.#watches.has(place)) continue
      this.#watches.set(place, new JournalWatch(this.#host.disk, journal?.writtenLsn ?? lsn(0)))
    }
    return planned
  }

  /** What an application process decided, before anybody is told. */
  #tap(process: SimulatedProcess): Tap {
    return (kind, body) => {
      if (kind !== journalFrames.drafts || !this.#points.waitsFor('drafted')) return process.isAlive
      for (const entry of body.flatMap(entriesIn)) this.#points.entry(entry, 'drafted')
      return process.isAlive
    }
  }

  #ran(process: SimulatedProcess): void {
    const { journal } = this.#cluster
    if (process.name !== 'journal-writer' || journal === null) return
    const { writtenLsn, flushedLsn } = journal
    for (const entry of this.#watches.get('written')?.upTo(writtenLsn) ?? []) this.#points.entry(entry, 'written')
    for (const entry of this.#watches.get('flushed')?.upTo(flushedLsn) ?? []) this.#points.entry(entry, 'flushed')
  }

  #killed(process: SimulatedProcess): void {
    this.#effects.killed(process)
    this.#cluster.ended(process)
  }

  #noteWarning(line: string): void {
    const [, warning] = / (?:warn|error): (.*)$/.exec(line) ?? []
    if (warning !== undefined) this.#warnings.push(warning)
  }

  #bug(what: string, error: unknown): void {
    if (error instanceof ProcessKilled || this.#isClosed) return
    const message = `the database of the test cannot go on: ${what}: ${messageOf(error)}`
    this.#pump.fail(new CommanderError('internal', message, { cause: error }))
  }

  #assertOpen(): void {
    if (this.#isClosed)
      throw new CommanderError('connection_lost', 'the database of the test was closed', { retryable: false })
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#client.close()
    this.#cluster.close()
    this.#detector?.close()
  }
}
