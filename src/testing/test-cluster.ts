import type { EndOfIncarnation } from '../actions/action.ts'
import { startApplication } from '../assembly/start-application.ts'
import { startDispatcher } from '../assembly/start-dispatcher.ts'
import { startGateway } from '../assembly/start-gateway.ts'
import {
  type JournalWriterSettings,
  type RunningJournalWriter,
  startJournalWriter,
} from '../assembly/start-journal-writer.ts'
import { startProjectionApplier } from '../assembly/start-projection-applier.ts'
import type { RunningRole, Surroundings } from '../assembly/surroundings.ts'
import type { Journal } from '../journal/journal.ts'
import { defaultJournalOptions, type JournalOptions } from '../journal/options.ts'
import { defaultFlushOptions } from '../journal-writer/options.ts'
import { defaultRetentionSettings } from '../journal-writer/retention.ts'
import { isCommanderError } from '../kernel/errors.ts'
import type { Application } from '../sdk/application.ts'
import type { RootState } from '../state/root.ts'
import type { Isolation } from '../workflows/isolation.ts'
import type { SimulatedHost } from './simulated-host.ts'
import { ProcessKilled, type SimulatedProcess } from './simulated-process.ts'
import { type Tap, TappedTransport } from './tapped-transport.ts'

/** A process of the database; `application` stands for those of all applications. */
export type TestRole = 'journal-writer' | 'dispatcher' | 'projection-applier' | 'gateway' | 'application'

interface Running extends RunningRole {
  readonly isReady: () => boolean
  readonly state: () => RootState | null
}

interface Slot {
  readonly name: string
  readonly role: TestRole
  readonly application: Application | null
  process: SimulatedProcess | null
  running: Running | null
  former: EndOfIncarnation
}

export interface TestClusterOptions {
  readonly host: SimulatedHost
  readonly applications: readonly Application[]
  readonly isolation: Isolation | null
  /** Sees the frames that the application processes send. */
  readonly tap: (process: SimulatedProcess) => Tap
  readonly bug: (what: string, error: unknown) => void
  /** Default: that of a database whose journal one node keeps alone. */
  readonly startWriter?: (surroundings: Surroundings, settings: JournalWriterSettings) => Promise<RunningJournalWriter>
  /** Default: segments that a virtual disk can keep, and room for many. */
  readonly journal?: JournalOptions
  /** A role that ends with one of these starts again as well. */
  readonly survives?: readonly string[]
}

const restartDelayMs = 1
const dayMs = 86_400_000
/** Housekeeping is rare: a month of virtual time has to pass within a moment. */
const rarely = { checkpointTimeoutMs: dayMs, sweepMs: 60_000, lookMs: dayMs }
/** What a virtual disk can keep. */
const usualJournal = { ...defaultJournalOptions, segmentBytes: 1 << 22, maxBytes: 1 << 30 }
/** A role that ends with one of these starts again, and goes on. */
const survivable: readonly string[] = ['journal_failed', 'store_failed', 'not_ready', 'stale_state']

/** The processes of one database on a simulated host, and whoever starts them again, as the supervisor does. */
export class TestCluster {
  readonly #o: TestClusterOptions
  readonly #slots: readonly Slot[]
  #hasPower = true
  #isClosed = false
  /** Of the journal writer that runs; null while none does. */
  journal: Journal | null = null

  constructor(options: TestClusterOptions) {
    this.#o = options
    const slot = (name: string, role: TestRole, application: Application | null = null): Slot => {
      return { name, role, application, process: null, running: null, former: 'unknown' }
    }
    this.#slots = [
      slot('journal-writer', 'journal-writer'),
      slot('dispatcher', 'dispatcher'),
      slot('projection-applier', 'projection-applier'),
      slot('gateway', 'gateway'),
      ...options.applications.map((application) => slot(`${application.name}-1`, 'application', application)),
    ]
  }

  start(): void {
    for (const slot of this.#slots) this.#start(slot)
  }

  /** Everything ends, for good. */
  close(): void {
    this.#isClosed = true
    for (const { process } of this.#slots) process?.kill('closed')
  }

  /** What a process has folded; null while it does not run. */
  stateOf(role: TestRole): RootState | null {
    return this.#slots.find((slot) => slot.role === role)?.running?.state() ?? null
  }

  get isReady(): boolean {
    return this.#slots.every(({ running }) => running?.isReady() === true)
  }

  /** What every process agrees on, where the dispatcher has it; null while it does not run. */
  get state(): RootState | null {
    return this.stateOf('dispatcher')
  }

  processOf(application: Application): SimulatedProcess | null {
    return this.#slots.find((slot) => slot.application?.name === application.name)?.process ?? null
  }

  /** As kill -9, or as an exception that nobody caught. */
  crash(role: TestRole, byItself: boolean): void {
    for (const slot of this.#slots) {
      if (slot.role !== role) continue
      slot.former = byItself ? 'crashed' : 'killed'
      slot.process?.kill(byItself ? 'crashed' : 'killed')
    }
  }

  /** All at once, and what was not flushed may be lost. */
  losePower(): void {
    this.#hasPower = false
    for (const slot of this.#slots) slot.former = 'killed'
    this.#o.host.losePower()
    this.#hasPower = true
    for (const slot of this.#slots) this.#startSoon(slot)
  }

  /** A process is gone, by whatever cause. */
  ended(process: SimulatedProcess): void {
    const slot = this.#slots.find((one) => one.process === process)
    if (slot === undefined) return
    slot.process = null
    slot.running = null
    if (slot.role === 'journal-writer') this.journal = null
    if (this.#hasPower) this.#startSoon(slot)
  }

  #startSoon(slot: Slot): void {
    this.#o.host.time.after(restartDelayMs, () => {
      if (slot.process === null && !this.#isClosed) this.#start(slot)
    })
  }

  #start(slot: Slot): void {
    const process = this.#o.host.start(slot.name)
    slot.process = process
    const failed = (error: unknown): void => {
      if (!process.isAlive) return
      const code = isCommanderError(error) ? error.code : 'none'
      if (![...survivable, ...(this.#o.survives ?? [])].includes(code)) this.#o.bug(`${slot.name} fails`, error)
      slot.former = 'crashed'
      process.kill(`failed: ${code}`)
    }
    this.#run(slot, process, this.#o.host.surroundingsOf(process, failed)).then(
      (running) => {
        if (slot.process === process) slot.running = running
      },
      (error: unknown) => {
        if (!(error instanceof ProcessKilled)) failed(error)
      },
    )
  }

  async #run(slot: Slot, process: SimulatedProcess, surroundings: Surroundings): Promise<Running> {
    const { applications, isolation, tap, journal = usualJournal } = this.#o
    switch (slot.role) {
      case 'journal-writer': {
        const { checkpointTimeoutMs } = rarely
        const retention = { ...defaultRetentionSettings, maxJournalBytes: journal.maxBytes, checkpointTimeoutMs }
        const start = this.#o.startWriter ?? startJournalWriter
        const running = await start(surroundings, { journal, flush: defaultFlushOptions, retention })
        this.journal = running.journal
        return { stop: running.stop, isReady: () => true, state: () => null }
      }
      case 'dispatcher': {
        const { dispatcher, follower, stop } = startDispatcher(surroundings, rarely)
        return { stop, isReady: () => follower.standing.isCaughtUp, state: () => dispatcher.state }
      }
      case 'projection-applier': {
        const running = await startProjectionApplier(surroundings, { applications, ...rarely })
        const isReady = (): boolean => running.follower.standing.isCaughtUp
        return { stop: running.stop, isReady, state: () => running.applier.state }
      }
      case 'gateway': {
        const { gateway, follower, stop } = await startGateway(surroundings, { applications, journal })
        const isReady = (): boolean =>
          follower.standing.isCaughtUp && (gateway.isReady || follower.standing.isStandingBy)
        return { stop, isReady, state: () => gateway.state }
      }
      default: {
        const transport = new TappedTransport(surroundings.transport, tap(process))
        const { runtime, follower, stop } = startApplication(
          { ...surroundings, transport },
          {
            application: slot.application as Application,
            instance: 1,
            former: slot.former,
            journal,
            ...(isolation === null ? {} : { isolation }),
          },
        )
        const isReady = (): boolean =>
          runtime.isRegistered || (follower.standing.isCaughtUp && follower.standing.isStandingBy)
        return { stop, isReady, state: () => runtime.state }
      }
    }
  }
}
