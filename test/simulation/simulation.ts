import { eventCountOf, isRemoved } from '../../src/actions/entry-layout.ts'
import { sealedSegments } from '../../src/archive/sealed-segments.ts'
import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import type { StorageOperation } from '../../src/journal/storage-faults.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'
import type { Lsn } from '../../src/kernel/identifiers.ts'
import { EventLogReader, eachEntry } from '../../src/tables/event-log.ts'
import { archiveOf } from '../../src/tables/log-block.ts'
import { readPosition } from '../../src/tables/meta.ts'
import { readProgress } from '../../src/tables/projection-rows.ts'
import { tableNames } from '../../src/tables/table-names.ts'
import { SimulatedHost } from '../../src/testing/simulated-host.ts'
import { Trace } from '../../src/testing/trace.ts'
import { Attic } from './attic.ts'
import { Workload } from './client.ts'
import { Cluster, roleNames } from './cluster.ts'
import { Faults } from './faults.ts'
import { checkHistory, type Seen } from './final-checks.ts'
import { FormerModels } from './former-models.ts'
import { type Frame, readFrames } from './journal-entries.ts'
import { Keeper } from './keeper.ts'
import { type LostEntries, MediaWatch } from './media-watch.ts'
import { Model } from './model.ts'
import { Observers } from './observers.ts'
import { type Length, planOf } from './plan.ts'
import { Repairs } from './repairs.ts'
import { isArchived } from './restored.ts'
import { StateWatch } from './state-watch.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly print?: (line: string) => void
  /** Default: as the seed has it. */
  readonly length?: Length
}

export interface SimulationResult {
  readonly seed: number
  /** What must not have happened; empty when all is well. */
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly events: number
  readonly virtualMs: number
  readonly entries: number
  readonly calls: number
  readonly completed: number
  /** Times that the state of a role was compared. */
  readonly states: number
  readonly reads: number
  readonly faults: Readonly<Record<string, number>>
  /** What became of streams, by what an operator asked for. */
  readonly streams: Readonly<Record<string, number>>
  /** Deletions that took no effect since a command from before was pending. */
  readonly voidDeletions: number
  /** Segments that were restored from the archive. */
  readonly restoredSegments: number
  readonly archiveFailures: number
  /** What came of recoveries of a journal that its medium had failed, and what operators did. */
  readonly recoveries: Readonly<Record<string, number>>
  readonly repairs: Readonly<Record<string, number>>
}

const faultsMostMs = 60_000
const quietMostMs = 120_000

/** One history of the whole database; everything in it follows from the seed. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const history = new History(options)
  await history.run()
  return history.result()
}

class History {
  readonly #o: SimulationOptions
  readonly #trace: Trace
  readonly #violations: string[] = []
  readonly #host: SimulatedHost
  readonly #cluster: Cluster
  readonly #workload: Workload
  readonly #observers: Observers
  readonly #faults: Faults
  readonly #keeper: Keeper | null
  readonly #watch: StateWatch
  readonly #attic = new Attic()
  readonly #instances: number
  readonly #hasMediaFaults: boolean
  readonly #media: MediaWatch
  readonly #repairs: Repairs
  readonly #formers: FormerModels
  /** The database has said that it cannot be gone on with. */
  #isWorthless = false
  #seen: Seen = { voidDeletions: 0, restoredSegments: 0 }
  /** Old segments were given up: the archive may never have had them. */
  #hasLostOlder = false

  constructor(options: SimulationOptions) {
    this.#o = options
    this.#trace = new Trace(options.print ?? null)
    const plan = planOf(options.seed, options.length)
    this.#instances = plan.instances
    this.#hasMediaFaults = plan.faults.media
    const bug = (what: string, error: unknown): void =>
      this.#violate(`${what}: ${error instanceof Error ? error.stack : String(error)}`)
    this.#host = new SimulatedHost({
      seed: options.seed,
      trace: this.#trace,
      copyBytes: plan.copyBytes,
      flushesCommits: plan.flushesCommits,
      startWallMs: plan.startWallMs,
      pace: plan.faults.pace,
      hasArchive: plan.hasArchive,
      ...(plan.windowBytes === undefined ? {} : { windowBytes: plan.windowBytes }),
      bug,
      sees: (operation) => {
        this.#attic.look(operation, this.#host.disk)
        this.#checkRemoval(operation)
        this.#noteGivenUp(operation)
      },
      diskFault: (operation) => this.#faults.onDisk(operation),
      killed: (process) => this.#cluster.ended(process),
      ran: (process) => this.#cluster.ran(process),
    })
    this.#watch = new StateWatch((what) => this.#violate(what))
    this.#cluster = new Cluster(this.#host, plan.cluster, {
      bug,
      corrupt: (role, error) => this.#isCorrupt(role, error),
      recovering: () => this.#media.recovering(),
      recovered: (upTo) => {
        this.#watch.recovered(upTo)
        this.#media.opened(upTo)
      },
      flushed: (upTo) => this.#media.flushed(upTo),
      ended: (role) => this.#watch.ended(role),
      state: (role, state) => this.#watch.look(role, state),
    })
    this.#workload = new Workload(this.#cluster, plan.workload, bug)
    this.#observers = new Observers(this.#cluster, plan.workload.accounts, bug)
    this.#keeper = plan.hasKeeper
      ? new Keeper(this.#cluster, this.#workload, this.#observers, plan.workload.accounts, bug)
      : null
    this.#faults = new Faults(this.#cluster, this.#workload, plan.faults)
    const violate = (what: string): void => this.#violate(what)
    this.#formers = new FormerModels(violate)
    this.#media = new MediaWatch({
      disk: this.#host.disk,
      store: () => this.#host.store.now(),
      nowMs: () => this.#host.time.nowMs,
      violate,
      lost: (entries) => this.#lost(entries),
    })
    this.#repairs = new Repairs(this.#cluster, this.#media, this.#faults.media, violate)
  }

  async run(): Promise<void> {
    const { time } = this.#host
    for (const name of roleNames) if (name !== 'bank-2' || this.#instances === 2) this.#cluster.want(name)
    this.#workload.start()
    this.#observers.start()
    this.#keeper?.start()
    if (this.#hasMediaFaults) this.#repairs.watchArchive()
    this.#workload.calling = (count) => this.#faults.called(count)
    await time.run(faultsMostMs, () => this.#workload.isDone || this.#isOver)
    this.#faults.stop()
    if (this.#hasMediaFaults) this.#repairs.finish()
    this.#observers.stop()
    this.#keeper?.stop()
    const isOver = await time.run(time.nowMs + quietMostMs, () => this.#isOver || this.#isQuiet())
    if (!isOver) this.#violate(`liveness: ${this.#whatIsLeft()}`)
    if (!this.#isOver) await this.#check()
    if (this.#o.print !== undefined) for (const line of this.#journalLines()) this.#o.print(line)
  }

  result(): SimulationResult {
    const { calls } = this.#workload
    return {
      seed: this.#o.seed,
      violations: this.#violations,
      traceHash: this.#trace.hash,
      events: this.#host.time.events,
      virtualMs: Math.round(this.#host.time.nowMs),
      entries: this.#cluster.journal?.writtenLsn ?? 0,
      calls: calls.length,
      completed: calls.filter(({ outcome }) => outcome?.outcome === 'completed').length,
      states: this.#watch.observations,
      reads: this.#observers.read.length + this.#observers.states.length,
      faults: { ...this.#faults.counts, ...this.#faults.media.counts },
      recoveries: this.#hasMediaFaults ? this.#media.counts : {},
      repairs: this.#repairs.counts,
      streams: this.#keeper?.counts ?? {},
      ...this.#seen,
      archiveFailures: this.#host.archive?.failures ?? 0,
    }
  }

  get #isOver(): boolean {
    return this.#isViolated || this.#isWorthless
  }

  get #isViolated(): boolean {
    return this.#violations.length > 0
  }

  #violate(what: string): void {
    this.#trace.note(this.#host.time.nowMs, 'CHECK', what)
    if (this.#violations.length < 20) this.#violations.push(what)
  }

  /** Somebody gives up since the journal cannot be read: that is to be where the medium has failed it, and nowhere else. */
  #isCorrupt(role: string, error: CommanderError): boolean {
    if (!this.#faults.media.hasStruck) return false
    const { rule } = (error.details ?? {}) as { readonly rule?: string }
    const isRunning = role === 'journal-writer' && this.#cluster.journal !== null
    if (rule === 'R9' || isRunning) {
      // It is set aside. Nobody has decided on what it had in common with nobody; but readers may have seen it.
      this.#media.storeContradicts(error)
      this.#observers.lost(this.#cluster.losses.at(-1)?.endLsn ?? 0)
      if (role === 'journal-writer') this.#repairs.refused()
      else this.#repairs.unreadable()
    } else if (role === 'journal-writer') {
      if (!this.#media.refused(error)) return false
      this.#repairs.refused()
    } else if (this.#host.disk.damaged('seen').length > 0) this.#repairs.unreadable()
    return true
  }

  /** Null where nothing ties the journal to the old segments that it has lost. */
  #readWhole(disk: MemoryStorage, upTo: Lsn): Frame[] | null {
    try {
      return readFrames(this.#attic.wholeOf(disk), upTo)
    } catch (error) {
      this.#host.trace.note(this.#host.time.nowMs, 'CHECK', `the whole journal cannot be read: ${String(error)}`)
      if (!this.#hasLostOlder) this.#violate(`the whole journal cannot be read: ${String(error)}`)
      return null
    }
  }

  #lost({ endLsn, truth, atMs }: LostEntries): void {
    const { trace, time } = this.#host
    trace.note(time.nowMs, 'CHECK', `entries behind ${endLsn} of ${truth.lastLsn} are lost`)
    const model = new Model()
    for (const { entries } of this.#readWhole(truth.disk, truth.lastLsn as Lsn) ?? [])
      for (const entry of entries) model.fold(entry)
    this.#formers.add({ model, endLsn, atMs })
    this.#cluster.losses.push({ atMs, endLsn })
    this.#observers.lost(endLsn)
  }

  #whatIsLeft(): string {
    const { applied, globalPosition } = readPosition(this.#host.store.now())
    return [
      `${this.#workload.unanswered} calls have no answer`,
      `the journal is written up to ${this.#cluster.journal?.writtenLsn}, flushed up to ${this.#cluster.journal?.flushedLsn}`,
      `the store has ${applied}, ${globalPosition} events, the subscriber ${this.#observers.subscribed.length}`,
      this.#cluster.describe(),
    ].join('; ')
  }

  /** All calls have their answers, nothing is pending, and the store and the subscriber have everything. */
  #isQuiet(): boolean {
    const { journal } = this.#cluster
    if (!this.#repairs.isDone) return false
    if (!this.#workload.isDone || journal === null || journal.flushedLsn !== journal.writtenLsn) return false
    const store = this.#host.store.now()
    if (readPosition(store).applied !== journal.writtenLsn) return false
    if (readProgress(store, 'balances')?.building !== null) return false
    const isEmpty = (table: string): boolean => [...store.table(table).range({ limit: 1 })].length === 0
    if (!isEmpty(tableNames.parked) || !isEmpty(tableNames.removals) || !this.#cluster.isIdle) return false
    return this.#isAllRead && this.#isAllArchived
  }

  /** What is left out behind the last event that the subscriber got are events that were deleted. */
  get #isAllRead(): boolean {
    const store = this.#host.store.now()
    let position = 0
    for (const block of new EventLogReader(store).blocksFrom(
      (this.#observers.subscribed.at(-1)?.globalPosition ?? 0) + 1,
    ))
      eachEntry(block, (b, o, first) => {
        if (!isRemoved(b, o) || archiveOf(b, o) !== 0) position = first + eventCountOf(b, o) - 1
      })
    return position <= (this.#observers.subscribed.at(-1)?.globalPosition ?? 0)
  }

  get #isAllArchived(): boolean {
    const { journal, archiver } = this.#cluster
    if (this.#host.archive === null || journal === null) return true
    const last = sealedSegments(this.#host.disk, 0, journal.flushedLsn).at(-1)?.lastLsn ?? 0
    return archiver !== null && archiver.archivedLsn >= last
  }

  /** Where no writer is at work, the oldest segment loses its name only to an operator. */
  #noteGivenUp({ kind, name }: StorageOperation): void {
    const isOldest = segmentsOf(this.#host.disk.list())[0]?.name === name
    if (kind === 'rename' && isOldest && this.#cluster.journal === null) this.#hasLostOlder = true
  }

  /** The running journal writer removes only what the archive has. Recovery removes what nobody was told of. */
  #checkRemoval({ kind, name }: StorageOperation): void {
    const { archive, disk } = this.#host
    if (archive === null || this.#cluster.journal === null || (kind !== 'remove' && kind !== 'rename')) return
    if (segmentsOf([name]).length === 0 || !disk.list().includes(name)) return
    if (!isArchived(archive.objects, name))
      this.#violate(`archive: segment ${name} is removed before the archive has it`)
  }

  async #check(): Promise<void> {
    const { journal } = this.#cluster
    const frames = journal === null ? null : this.#readWhole(this.#host.disk, journal.flushedLsn)
    if (journal === null || frames === null) return
    const history = {
      host: this.#host,
      cluster: this.#cluster,
      workload: this.#workload,
      observers: this.#observers,
      keeper: this.#keeper,
      watch: this.#watch,
      formers: this.#formers,
      hasLostOlder: this.#hasLostOlder,
      violate: (what: string) => this.#violate(what),
    }
    this.#seen = await checkHistory(history, frames, journal.flushedLsn)
  }

  #journalLines(): string[] {
    const { journal } = this.#cluster
    if (journal === null) return ['no journal writer is running']
    return (this.#readWhole(this.#host.disk, journal.writtenLsn) ?? []).flatMap(({ entries }) =>
      entries.map(
        ({ lsn, origin, sequence, action }) => `ENTRY ${lsn} by ${origin}:${sequence} ${JSON.stringify(action)}`,
      ),
    )
  }
}
