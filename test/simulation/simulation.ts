import { eventCountOf, isRemoved } from '../../src/actions/entry-layout.ts'
import { sealedSegments } from '../../src/archive/sealed-segments.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import type { StorageOperation } from '../../src/journal/storage-faults.ts'
import type { Lsn } from '../../src/kernel/identifiers.ts'
import { stateHash } from '../../src/state/snapshot.ts'
import { ArchivedStreams } from '../../src/tables/archived-streams.ts'
import { EventLogReader, eachEntry } from '../../src/tables/event-log.ts'
import { archiveOf } from '../../src/tables/log-block.ts'
import { readPosition } from '../../src/tables/meta.ts'
import { readProgress } from '../../src/tables/projection-rows.ts'
import { tableNames } from '../../src/tables/table-names.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { fastPace, SimulatedHost, usualPace } from '../../src/testing/simulated-host.ts'
import { Trace } from '../../src/testing/trace.ts'
import { Attic } from './attic.ts'
import { checkAnswers, checkRead, checkState, checkStore, checkSubscription } from './checks.ts'
import { Workload, type WorkloadSettings } from './client.ts'
import { Cluster, type ClusterSettings, roleNames } from './cluster.ts'
import { type FaultSettings, Faults } from './faults.ts'
import { readFrames } from './journal-entries.ts'
import { checkViews, Keeper } from './keeper.ts'
import { Model } from './model.ts'
import { Observers } from './observers.ts'
import { checkRestored, isArchived } from './restored.ts'
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
}

const faultsMostMs = 60_000
const quietMostMs = 120_000
const minuteMs = 60_000

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
  #voidDeletions = 0
  #restoredSegments = 0

  constructor(options: SimulationOptions) {
    this.#o = options
    this.#trace = new Trace(options.print ?? null)
    const plan = planOf(options.seed, options.length)
    this.#instances = plan.instances
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
      diskFault: (operation) => {
        this.#attic.look(operation, this.#host.disk)
        this.#checkRemoval(operation)
        return this.#faults.onDisk(operation)
      },
      killed: (process) => this.#cluster.ended(process),
      ran: (process) => this.#cluster.ran(process),
    })
    this.#watch = new StateWatch((what) => this.#violate(what))
    this.#cluster = new Cluster(this.#host, plan.cluster, {
      bug,
      recovered: (upTo) => this.#watch.recovered(upTo),
      state: (role, state) => this.#watch.look(role, state),
    })
    this.#workload = new Workload(this.#cluster, plan.workload, bug)
    this.#observers = new Observers(this.#cluster, plan.workload.accounts, bug)
    this.#keeper = plan.hasKeeper
      ? new Keeper(this.#cluster, this.#workload, this.#observers, plan.workload.accounts, bug)
      : null
    this.#faults = new Faults(this.#cluster, this.#workload, plan.faults)
  }

  async run(): Promise<void> {
    const { time } = this.#host
    for (const name of roleNames) if (name !== 'bank-2' || this.#instances === 2) this.#cluster.want(name)
    this.#workload.start()
    this.#observers.start()
    this.#keeper?.start()
    this.#workload.calling = (count) => this.#faults.called(count)
    await time.run(faultsMostMs, () => this.#workload.isDone || this.#isViolated)
    this.#faults.stop()
    this.#observers.stop()
    this.#keeper?.stop()
    const isOver = await time.run(time.nowMs + quietMostMs, () => this.#isViolated || this.#isQuiet())
    if (!isOver) this.#violate(`liveness: ${this.#whatIsLeft()}`)
    if (!this.#isViolated) await this.#check()
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
      faults: this.#faults.counts,
      streams: this.#keeper?.counts ?? {},
      voidDeletions: this.#voidDeletions,
      restoredSegments: this.#restoredSegments,
      archiveFailures: this.#host.archive?.failures ?? 0,
    }
  }

  get #isViolated(): boolean {
    return this.#violations.length > 0
  }

  #violate(what: string): void {
    this.#trace.note(this.#host.time.nowMs, 'CHECK', what)
    if (this.#violations.length < 20) this.#violations.push(what)
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
    if (journal === null) return
    const frames = readFrames(this.#attic.wholeOf(this.#host.disk), journal.flushedLsn)
    const model = new Model()
    for (const { entries } of frames) for (const entry of entries) model.fold(entry)
    for (const what of model.violations) this.#violate(what)
    const violate = (what: string): void => this.#violate(what)
    if (model.voidStarts > model.voidable)
      violate(`${model.voidStarts} of ${model.starts} assignments were void, where at most ${model.voidable} could be`)
    checkAnswers(this.#workload.calls, model, this.#workload.powerEpoch, violate)
    const archived = new ArchivedStreams(this.#host.archive?.ownVault ?? null)
    await checkStore(this.#host.store.now(), archived, model, violate)
    if (this.#keeper !== null) checkViews(this.#keeper.views, model, violate)
    this.#voidDeletions = model.voidDeletions
    for (const { what, event } of this.#observers.read) checkRead(what, event, model, violate)
    checkSubscription(this.#observers.subscribed, model, violate)
    for (const read of this.#observers.states) checkState(read, model, violate)
    const hashes = this.#watch.replay(frames, new Set(model.checkpoints.map(({ upTo }) => upTo)))
    for (const { upTo, stateHash: said } of model.checkpoints) {
      if (hashes.get(upTo) !== said)
        this.#violate(`G7: the checkpoint at ${upTo} has state ${said}, a replay ${hashes.get(upTo)}`)
    }
    await this.#checkArchive(journal.flushedLsn, model.events.length)
  }

  async #checkArchive(upTo: Lsn, events: number): Promise<void> {
    const { archive, disk, random } = this.#host
    const state = this.#cluster.slot('projection-applier').running?.state()
    if (archive === null || state == null) return
    const violate = (what: string): void => this.#violate(what)
    const { objects } = archive
    this.#restoredSegments = await checkRestored({
      objects,
      disk,
      upTo,
      stateHash: stateHash(state),
      events,
      random,
      violate,
    })
  }

  #journalLines(): string[] {
    const { journal } = this.#cluster
    if (journal === null) return ['no journal writer is running']
    return readFrames(this.#attic.wholeOf(this.#host.disk), journal.writtenLsn).flatMap(({ entries }) =>
      entries.map(
        ({ lsn, origin, sequence, action }) => `ENTRY ${lsn} by ${origin}:${sequence} ${JSON.stringify(action)}`,
      ),
    )
  }
}

interface Plan {
  readonly flushesCommits: boolean
  readonly startWallMs: number
  readonly copyBytes: boolean
  readonly windowBytes: number | undefined
  readonly instances: number
  readonly hasArchive: boolean
  /** Streams are closed, archived and deleted. */
  readonly hasKeeper: boolean
  readonly cluster: ClusterSettings
  readonly workload: WorkloadSettings
  readonly faults: FaultSettings
}

/** Calls of one client, at least and at most. */
const callsOf = { short: [3, 15], usual: [10, 45], long: [60, 120] } as const
type Length = keyof typeof callsOf
/** Many short histories, few long ones. */
const lengths: readonly Length[] = [
  ...new Array<Length>(11).fill('short'),
  ...new Array<Length>(8).fill('usual'),
  'long',
]

/** How this history is; drawn from numbers of its own, so that a change of the plan does not change the chances within. */
function planOf(seed: number, length: Length | undefined): Plan {
  const random = new SeededRandom(seed ^ 0x5eed)
  const isSlow = random.chance(0.15)
  const lengthOfSeed = random.pick(lengths)
  const [callsAtLeast, callsAtMost] = callsOf[length ?? lengthOfSeed]
  const limits = new SeededRandom(seed ^ 0x11317)
  const segmentBytes = 1 << 20
  const maxBytes = segmentBytes * limits.pick([2, 3, 1024])
  const checkpointTimeoutMs = limits.pick([100, 1_000, 300_000])
  const windowBytes = random.pick([undefined, undefined, 65_536, 8_192])
  const streams = new SeededRandom(seed ^ 0x57e4)
  const hasKeeper = streams.chance(0.3)
  const hasArchive = streams.chance(hasKeeper ? 0.7 : 0.05)
  const padding = random.pick([0, 0, 0, 300, 20_000])
  return {
    // Keys expire by the minute: mostly it is over soon.
    startWallMs:
      minuteMs * 28_333_333 + (random.chance(0.7) ? random.integer(58_000, 59_950) : random.integer(0, 59_999)),
    copyBytes: random.chance(0.7),
    flushesCommits: random.chance(0.6),
    windowBytes,
    instances: random.pick([1, 2]),
    hasArchive,
    hasKeeper,
    cluster: {
      journal: { ...defaultJournalOptions, segmentBytes, maxBytes, blockBytes: random.pick([512, 4096]) },
      flush: {
        writerDelayMs: random.pick([5, 50, 200]),
        flushAfterBytes: random.pick([1_000, 1_048_576]),
        commitDelayMicros: random.pick([0, 0, 500]),
        durability: 'flushed',
      },
      attestIntervalMs: 100,
      retention: {
        maxJournalBytes: maxBytes,
        checkpointTimeoutMs,
        checkpointCompletionTarget: limits.pick([0, 0.5, 0.9]),
      },
      dispatcher: { silenceMs: 1_000, sweepMs: 200, startedPerInstance: random.pick([1, 4, 4096]) },
      commitIntervalMs: random.pick([0, 5, 25]),
      checkpointTimeoutMs,
      pendingCommands: random.pick([3, 1_000, 1_000]),
      liveBytesMax: random.pick([1, 4_096, 67_108_864]),
    },
    workload: {
      clients: random.integer(1, 3),
      workers: random.integer(1, 6),
      callsPerClient: random.integer(callsAtLeast, callsAtMost),
      thinkMs: isSlow ? 2_000 : random.pick([0, 1, 5, 50]),
      keyed: random.pick([0.3, 0.3, 0.9]),
      repeated: random.pick([0.1, 0.1, 0.8]),
      accounts: random.pick([1, 2, 4, 8]),
      padding: windowBytes === undefined ? limits.pick([padding, padding, 100_000]) : padding,
      timeoutMs: 30_000,
      isStubborn: hasKeeper,
    },
    faults: {
      struck: random.integer(0, 12),
      doubled: random.pick([0, 0.2, 0.5]),
      power: random.chance(0.5),
      disk: random.chance(0.25),
      clock: random.chance(0.2),
      archive: hasArchive,
      pace: random.pick([usualPace, fastPace]),
    },
  }
}
