import type { EndOfIncarnation } from '../../src/actions/action.ts'
import type { Archiver } from '../../src/archive/archiver.ts'
import { startApplication } from '../../src/assembly/start-application.ts'
import { startDispatcher } from '../../src/assembly/start-dispatcher.ts'
import { startGateway } from '../../src/assembly/start-gateway.ts'
import { startJournalWriter } from '../../src/assembly/start-journal-writer.ts'
import { startProjectionApplier } from '../../src/assembly/start-projection-applier.ts'
import type { RunningRole } from '../../src/assembly/surroundings.ts'
import type { DispatcherOptions } from '../../src/dispatcher/options.ts'
import type { Journal } from '../../src/journal/journal.ts'
import type { JournalOptions } from '../../src/journal/options.ts'
import type { FlushOptions } from '../../src/journal-writer/options.ts'
import type { RetentionSettings } from '../../src/journal-writer/retention.ts'
import { type CommanderError, isCommanderError, messageOf } from '../../src/kernel/errors.ts'
import type { RootState } from '../../src/state/root.ts'
import type { SimulatedHost } from '../../src/testing/simulated-host.ts'
import { ProcessKilled, type SimulatedProcess } from '../../src/testing/simulated-process.ts'
import { bankOf } from './bank.ts'

export interface ClusterSettings {
  readonly journal: JournalOptions
  readonly flush: FlushOptions
  readonly retention: RetentionSettings
  /** A role whose state is another than that of the others ends: this is a violation. */
  readonly attestIntervalMs: number
  readonly dispatcher: Partial<DispatcherOptions>
  readonly commitIntervalMs: number
  readonly checkpointTimeoutMs: number
  readonly pendingCommands: number
  readonly liveBytesMax: number
}

export const roleNames = ['journal-writer', 'dispatcher', 'projection-applier', 'gateway', 'bank-1', 'bank-2'] as const
export type RoleName = (typeof roleNames)[number]

interface Slot {
  readonly name: RoleName
  process: SimulatedProcess | null
  running: (RunningRole & { readonly state: () => RootState | null }) | null
  /** Meant to run: started again when it ends. */
  isWanted: boolean
  former: EndOfIncarnation
  restarts: number
}

export interface ClusterWatcher {
  bug(what: string, error: unknown): void
  /** A role gives up since the journal is damaged. @returns whether that may be */
  corrupt(role: RoleName, error: CommanderError): boolean
  /** The journal is about to be recovered. */
  recovering(): void
  /** The journal was recovered up to here; what was written behind it is lost. */
  recovered(upTo: number): void
  /** The journal's writer says that everything up to here is flushed. */
  flushed(upTo: number): void
  /** The role's process is gone. */
  ended(role: RoleName): void
  /** A role's state may have gone on. */
  state(role: RoleName, state: RootState): void
}

/** The processes of one database and whoever starts them again, as the supervisor does. */
export class Cluster {
  readonly host: SimulatedHost
  readonly #settings: ClusterSettings
  readonly #watcher: ClusterWatcher
  readonly #slots = new Map<RoleName, Slot>()
  /** How often each flaky command has still to fail; set by whoever sends it. */
  readonly failuresLeft = new Map<string, number>()
  readonly clientApplication = bankOf({ deciding: () => {}, flaky: () => {}, poison: () => {} })
  hasPower = true
  /** An operator is at work on the files: nothing is started. */
  #isHeld = false
  /** The medium has failed somewhere. */
  mayBeDamaged = false
  /** When entries were lost, and behind which one. */
  readonly losses: { readonly atMs: number; readonly endLsn: number }[] = []
  /** The next decision takes this long; 0: no time at all. */
  wedgeMs = 0
  /** Longest pause before a role that ended is started again. */
  restartDelayMs = 200
  /** Of the projection applier that runs; null while none does, and without an archive. */
  archiver: Archiver | null = null
  /** Of the journal writer that runs; null while none does. */
  journal: Journal | null = null

  constructor(host: SimulatedHost, settings: ClusterSettings, watcher: ClusterWatcher) {
    this.host = host
    this.#settings = settings
    this.#watcher = watcher
    for (const name of roleNames) {
      const slot: Slot = { name, process: null, running: null, isWanted: false, former: 'unknown', restarts: 0 }
      this.#slots.set(name, slot)
    }
  }

  get journalOptions(): JournalOptions {
    return this.#settings.journal
  }

  /** Entries that somebody saw after this moment may be gone. */
  hasLostSince(atMs: number): boolean {
    return this.losses.some((loss) => loss.atMs >= atMs)
  }

  /** Everything ends, and nothing is started until `release`. */
  hold(): void {
    this.#isHeld = true
    for (const { name } of this.#slots.values()) this.crash(name, false)
  }

  release(): void {
    this.#isHeld = false
    if (this.hasPower) this.powerIsBack()
  }

  slot(name: RoleName): Slot {
    return this.#slots.get(name) as Slot
  }

  process(name: RoleName): SimulatedProcess | null {
    return this.slot(name).process
  }

  want(name: RoleName): void {
    const slot = this.slot(name)
    slot.isWanted = true
    if (slot.process === null) this.#startSoon(slot, 5)
  }

  /** Orderly: the role says goodbye, and the process ends. */
  async leave(name: RoleName, comesBack: boolean): Promise<void> {
    const slot = this.slot(name)
    const { process, running } = slot
    slot.isWanted = comesBack && slot.isWanted
    if (process === null || running === null) return
    this.host.trace.note(this.host.time.nowMs, name, 'is asked to stop')
    slot.running = null
    try {
      await running.stop()
    } catch (error) {
      const isDiskFailure =
        isCommanderError(error) && (error.code === 'journal_full' || error.code === 'journal_failed')
      if (process.isAlive && !isDiskFailure) this.#watcher.bug(`${name} does not stop`, error)
    }
    if (slot.process === process) slot.former = 'stopped'
    process.kill('stopped')
  }

  /** Everybody that is meant to run does, and has applied everything, and no command is pending. */
  get isIdle(): boolean {
    for (const { isWanted, running } of this.#slots.values()) {
      if (!isWanted) continue
      const state = running?.state()
      if (running === null) return false
      if (state != null && (state.commands.byLsn.size > 0 || state.lsn !== this.journal?.writtenLsn)) return false
    }
    return true
  }

  /** Who runs, and what is pending there. */
  describe(): string {
    const lines = [...this.#slots.values()].map(({ name, isWanted, process, running }) => {
      const state = running?.state()
      const pending =
        state == null ? '' : ` at ${state.lsn}, pending ${[...state.commands.byLsn.keys()].join(' ') || 'nothing'}`
      return `${name} ${running !== null ? 'runs' : process !== null ? 'starts' : isWanted ? 'is down' : 'is not wanted'}${pending}`
    })
    return lines.join('; ')
  }

  crash(name: RoleName, byItself: boolean): void {
    const slot = this.slot(name)
    slot.former = byItself ? 'crashed' : 'killed'
    slot.process?.kill(byItself ? 'crashed' : 'killed')
  }

  ended(process: SimulatedProcess): void {
    for (const slot of this.#slots.values()) {
      if (slot.process !== process) continue
      slot.process = null
      slot.running = null
      this.#watcher.ended(slot.name)
      if (slot.name === 'journal-writer') {
        this.#watcher.flushed(this.journal?.flushedLsn ?? 0)
        this.journal = null
      }
      if (slot.name === 'projection-applier') this.archiver = null
      if (slot.isWanted && this.hasPower) this.#startSoon(slot, this.restartDelayMs)
    }
  }

  ran(process: SimulatedProcess): void {
    for (const slot of this.#slots.values()) {
      if (slot.process !== process || slot.running === null) continue
      const state = slot.running.state()
      if (state !== null) this.#watcher.state(slot.name, state)
    }
  }

  losePower(): void {
    this.hasPower = false
    for (const slot of this.#slots.values()) slot.former = 'killed'
    this.host.losePower()
  }

  powerIsBack(): void {
    this.hasPower = true
    for (const slot of this.#slots.values()) {
      if (slot.isWanted && slot.process === null) this.#startSoon(slot, this.restartDelayMs)
    }
  }

  #startSoon(slot: Slot, delayMs: number): void {
    this.host.time.after(this.host.random.fraction() * delayMs, () => {
      if (slot.isWanted && slot.process === null && this.hasPower && !this.#isHeld) this.#start(slot)
    })
  }

  #start(slot: Slot): void {
    const process = this.host.start(slot.name)
    slot.process = process
    slot.restarts++
    const failed = (error: unknown): void => {
      if (!process.isAlive) return
      const code = isCommanderError(error) ? error.code : 'none'
      this.host.trace.note(this.host.time.nowMs, slot.name, `fails: ${code} ${messageOf(error)}`)
      const isUsual = ['journal_failed', 'journal_full', 'store_failed', 'not_ready', 'stale_state'].includes(code)
      const isDamage = isCommanderError(error) && code === 'journal_corrupt' && this.#watcher.corrupt(slot.name, error)
      if (!isUsual && !isDamage) this.#watcher.bug(`${slot.name} fails`, error)
      slot.former = 'crashed'
      process.kill(`failed: ${code}`)
    }
    this.#run(slot, process, failed).then(
      (running) => {
        if (slot.process === process) slot.running = running
      },
      (error: unknown) => {
        if (!(error instanceof ProcessKilled)) failed(error)
      },
    )
  }

  async #run(slot: Slot, process: SimulatedProcess, failed: (error: Error) => void): Promise<Slot['running']> {
    const surroundings = this.host.surroundingsOf(process, failed)
    const settings = this.#settings
    const applications = [this.clientApplication]
    switch (slot.name) {
      case 'journal-writer': {
        this.#watcher.recovering()
        const running = await startJournalWriter(surroundings, settings)
        this.#watcher.recovered(running.report.recoveredLsn)
        this.journal = running.journal
        return { stop: running.stop, state: () => null }
      }
      case 'dispatcher': {
        const { dispatcher, stop } = startDispatcher(surroundings, settings.dispatcher)
        return { stop, state: () => dispatcher.state }
      }
      case 'projection-applier': {
        const { archive } = this.host
        const running = await startProjectionApplier(surroundings, {
          applications,
          ...settings,
          ...(archive === null ? {} : { openArchive: async () => archive.open(process) }),
        })
        if (slot.process === process) this.archiver = running.archiver
        return { stop: running.stop, state: () => running.applier.state }
      }
      case 'gateway': {
        const limits = { pendingCommands: settings.pendingCommands }
        const { gateway, stop } = await startGateway(surroundings, { applications, limits })
        return { stop, state: () => gateway.state }
      }
      default: {
        const application = bankOf({
          deciding: () => this.#wedgeIfDue(process),
          flaky: (nonce) => this.#failIfDue(nonce),
          poison: () => {
            slot.former = 'crashed'
            process.kill('a command crashed it')
            throw new ProcessKilled(process.name)
          },
        })
        const instance = Number(slot.name.slice(-1))
        const { former } = slot
        const { liveBytesMax } = settings
        const { runtime, stop } = startApplication(surroundings, { application, instance, former, liveBytesMax })
        return { stop, state: () => runtime.state }
      }
    }
  }

  #wedgeIfDue(process: SimulatedProcess): void {
    if (this.wedgeMs > 0) process.suspend(this.wedgeMs)
    this.wedgeMs = 0
  }

  #failIfDue(nonce: string): void {
    const left = this.failuresLeft.get(nonce) ?? 0
    if (left === 0) return
    this.failuresLeft.set(nonce, left - 1)
    const error = new Error(`fails on purpose ${left} more times`)
    // The stack goes into the journal: a history must not depend on where the project lies.
    error.stack = `${error.name}: ${error.message}`
    throw error
  }
}
