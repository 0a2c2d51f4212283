import type { EndOfIncarnation } from '../../src/actions/action.ts'
import { startApplication } from '../../src/assembly/start-application.ts'
import { startDispatcher } from '../../src/assembly/start-dispatcher.ts'
import { startGateway } from '../../src/assembly/start-gateway.ts'
import { startJournalWriter } from '../../src/assembly/start-journal-writer.ts'
import { startProjectionApplier } from '../../src/assembly/start-projection-applier.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { defaultFlushOptions } from '../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../src/journal-writer/retention.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import type { Application } from '../../src/sdk/application.ts'
import type { RootState } from '../../src/state/root.ts'
import type { SimulatedHost } from '../../src/testing/simulated-host.ts'
import { ProcessKilled, type SimulatedProcess } from '../../src/testing/simulated-process.ts'

export const flowRoles = [
  'journal-writer',
  'dispatcher',
  'projection-applier',
  'gateway',
  'flows-1',
  'flows-2',
] as const
export type FlowRole = (typeof flowRoles)[number]

export interface FlowProcess {
  readonly process: SimulatedProcess
  readonly state: () => RootState | null
  /** As by a bug of its own: whoever is at work is to blame. */
  crash(): never
}

export interface FlowWatcher {
  bug(what: string, error: unknown): void
  recovered(upTo: number): void
  state(role: FlowRole, state: RootState): void
  applicationOf(process: FlowProcess): Application
}

interface Slot {
  readonly name: FlowRole
  process: SimulatedProcess | null
  state: () => RootState | null
  stop: () => Promise<void>
  isRunning: boolean
  isWanted: boolean
  former: EndOfIncarnation
}

export interface FlowSettings {
  readonly liveBytesMax: number
  readonly attestIntervalMs: number
}

/** The processes of a database with workflows, started again whenever they end. */
export class FlowCluster {
  readonly host: SimulatedHost
  /** Of the journal writer that runs. */
  journal: Journal | null = null
  dispatcherStarts = 0
  restartDelayMs = 150
  hasPower = true
  readonly #slots: readonly Slot[]
  readonly #watcher: FlowWatcher
  readonly #settings: FlowSettings

  constructor(host: SimulatedHost, settings: FlowSettings, watcher: FlowWatcher) {
    this.host = host
    this.#settings = settings
    this.#watcher = watcher
    this.#slots = flowRoles.map((name) => this.#emptySlot(name))
  }

  #emptySlot(name: FlowRole): Slot {
    return {
      name,
      process: null,
      state: () => null,
      stop: async () => {},
      isRunning: false,
      isWanted: false,
      former: 'unknown',
    }
  }

  slot(name: FlowRole): Slot {
    return this.#slots.find((slot) => slot.name === name) as Slot
  }

  want(name: FlowRole): void {
    const slot = this.slot(name)
    slot.isWanted = true
    this.#startSoon(slot, 5)
  }

  /** As kill -9: nobody's fault. */
  kill(name: FlowRole, comesBack = true): void {
    const slot = this.slot(name)
    slot.isWanted = comesBack
    slot.former = 'killed'
    slot.process?.kill('killed')
  }

  /** Orderly: it says goodbye, and ends. */
  leave(name: FlowRole): void {
    const slot = this.slot(name)
    const { process, stop } = slot
    slot.isWanted = false
    if (process === null) return
    const end = (): void => {
      slot.former = 'stopped'
      process.kill('stopped')
    }
    void stop().then(end, end)
  }

  losePower(): void {
    this.hasPower = false
    for (const slot of this.#slots) slot.former = 'killed'
    this.host.losePower()
  }

  powerIsBack(): void {
    this.hasPower = true
    for (const slot of this.#slots) if (slot.isWanted) this.#startSoon(slot, this.restartDelayMs)
  }

  ended(process: SimulatedProcess): void {
    const slot = this.#slots.find((one) => one.process === process)
    if (slot === undefined) return
    slot.process = null
    slot.isRunning = false
    slot.state = () => null
    slot.stop = async () => {}
    if (slot.name === 'journal-writer') this.journal = null
    if (slot.isWanted) this.#startSoon(slot, this.restartDelayMs)
  }

  ran(process: SimulatedProcess): void {
    const slot = this.#slots.find((one) => one.process === process)
    const state = slot?.state()
    if (slot !== undefined && state != null) this.#watcher.state(slot.name, state)
  }

  /** The states of those that run; null: not all that are wanted do. */
  get states(): RootState[] | null {
    const states: RootState[] = []
    for (const { isWanted, isRunning, state } of this.#slots) {
      if (!isWanted) continue
      if (!isRunning) return null
      const own = state()
      if (own !== null) states.push(own)
    }
    return states
  }

  describe(): string {
    const lines = this.#slots.map(({ name, isWanted, isRunning, state }) => {
      const own = state()
      const { commands, activations, outbox } = own ?? { commands: null, activations: null, outbox: null }
      const active = [...(activations?.byKey.values() ?? [])].map(
        (a) => `${a.key}@${a.instance}:${a.token}/${a.crashes}`,
      )
      return `${name} ${isRunning ? 'runs' : isWanted ? 'is down' : 'is not wanted'} at ${own?.lsn}: ${commands?.byLsn.size} commands, ${outbox?.size} messages, active ${active.join(' ')}`
    })
    return lines.join('; ')
  }

  #startSoon(slot: Slot, delayMs: number): void {
    this.host.time.after(this.host.random.fraction() * delayMs, () => {
      if (slot.isWanted && slot.process === null && this.hasPower) this.#start(slot)
    })
  }

  #start(slot: Slot): void {
    const process = this.host.start(slot.name)
    slot.process = process
    const failed = (error: unknown): void => {
      if (!process.isAlive || error instanceof ProcessKilled) return
      const isUsual =
        isCommanderError(error) && ['journal_failed', 'store_failed', 'not_ready', 'stale_state'].includes(error.code)
      if (!isUsual) this.#watcher.bug(`${slot.name} fails`, error)
      slot.former = 'killed'
      process.kill('failed')
    }
    this.#run(slot, process, failed).then((state) => {
      if (slot.process !== process) return
      slot.state = state
      slot.isRunning = true
    }, failed)
  }

  async #run(slot: Slot, process: SimulatedProcess, failed: (error: Error) => void): Promise<Slot['state']> {
    const surroundings = this.host.surroundingsOf(process, failed)
    const { liveBytesMax, attestIntervalMs } = this.#settings
    const nobody = {
      process,
      state: () => null,
      crash: () => {
        throw new ProcessKilled(process.name)
      },
    }
    const applications = [this.#watcher.applicationOf(nobody)]
    switch (slot.name) {
      case 'journal-writer': {
        const journal = { ...defaultJournalOptions, segmentBytes: 1 << 20, initZero: false }
        const flush = { ...defaultFlushOptions, commitDelayMicros: 0 }
        const running = await startJournalWriter(surroundings, {
          journal,
          flush,
          retention: defaultRetentionSettings,
          attestIntervalMs,
        })
        this.#watcher.recovered(running.report.recoveredLsn)
        this.journal = running.journal
        return () => null
      }
      case 'dispatcher': {
        this.dispatcherStarts++
        const { dispatcher } = startDispatcher(surroundings, { sweepMs: 100, silenceMs: 1_000 })
        return () => dispatcher.state
      }
      case 'projection-applier': {
        const { applier } = await startProjectionApplier(surroundings, { applications, commitIntervalMs: 10 })
        return () => applier.state
      }
      case 'gateway': {
        const { gateway } = await startGateway(surroundings, { applications })
        return () => gateway.state
      }
      default: {
        let state = (): RootState | null => null
        const crash = (): never => {
          slot.former = 'crashed'
          process.kill('a request crashed it')
          throw new ProcessKilled(process.name)
        }
        const application = this.#watcher.applicationOf({ process, state: () => state(), crash })
        const instance = Number(slot.name.slice(-1))
        const { runtime, stop } = startApplication(surroundings, {
          application,
          instance,
          former: slot.former,
          liveBytesMax,
        })
        state = () => runtime.state
        slot.stop = stop
        return state
      }
    }
  }
}
