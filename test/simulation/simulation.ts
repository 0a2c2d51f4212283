import { defaultJournalOptions } from '../../src/journal/options.ts'
import { readPosition } from '../../src/tables/meta.ts'
import { readProgress } from '../../src/tables/projection-rows.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { fastPace, SimulatedHost, usualPace } from '../../src/testing/simulated-host.ts'
import { Trace } from '../../src/testing/trace.ts'
import { Attic } from './attic.ts'
import { checkAnswers, checkRead, checkState, checkStore, checkSubscription } from './checks.ts'
import { Workload, type WorkloadSettings } from './client.ts'
import { Cluster, type ClusterSettings, roleNames } from './cluster.ts'
import { type FaultSettings, Faults } from './faults.ts'
import { readFrames } from './journal-entries.ts'
import { Model } from './model.ts'
import { Observers } from './observers.ts'
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
  readonly #watch: StateWatch
  readonly #attic = new Attic()
  readonly #instances: number

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
      ...(plan.windowBytes === undefined ? {} : { windowBytes: plan.windowBytes }),
      bug,
      diskFault: (operation) => {
        this.#attic.look(operation, this.#host.disk)
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
    this.#faults = new Faults(this.#cluster, this.#workload, plan.faults)
  }

  async run(): Promise<void> {
    const { time } = this.#host
    for (const name of roleNames) if (name !== 'bank-2' || this.#instances === 2) this.#cluster.want(name)
    this.#workload.start()
    this.#observers.start()
    this.#workload.calling = (count) => this.#faults.called(count)
    await time.run(faultsMostMs, () => this.#workload.isDone || this.#isViolated)
    this.#faults.stop()
    this.#observers.stop()
    const isOver = await time.run(time.nowMs + quietMostMs, () => this.#isViolated || this.#isQuiet())
    if (!isOver) this.#violate(`liveness: ${this.#whatIsLeft()}`)
    if (!this.#isViolated) this.#check()
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
    const { applied, globalPosition } = readPosition(this.#host.store.now())
    if (applied !== journal.writtenLsn || this.#observers.subscribed.length < globalPosition) return false
    const isBuilt = readProgress(this.#host.store.now(), 'balances')?.building === null
    return (
      isBuilt && this.#cluster.isIdle && [...this.#host.store.now().table('parked').range({ limit: 1 })].length === 0
    )
  }

  #check(): void {
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
    checkStore(this.#host.store.now(), model, violate)
    for (const { what, event } of this.#observers.read) checkRead(what, event, model, violate)
    checkSubscription(this.#observers.subscribed, model, violate)
    for (const read of this.#observers.states) checkState(read, model, violate)
    const hashes = this.#watch.replay(frames, new Set(model.checkpoints.map(({ upTo }) => upTo)))
    for (const { upTo, stateHash } of model.checkpoints) {
      if (hashes.get(upTo) !== stateHash)
        this.#violate(`G7: the checkpoint at ${upTo} has state ${stateHash}, a replay ${hashes.get(upTo)}`)
    }
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
  const padding = random.pick([0, 0, 0, 300, 20_000])
  return {
    // Keys expire by the minute: mostly it is over soon.
    startWallMs:
      minuteMs * 28_333_333 + (random.chance(0.7) ? random.integer(58_000, 59_950) : random.integer(0, 59_999)),
    copyBytes: random.chance(0.7),
    flushesCommits: random.chance(0.6),
    windowBytes,
    instances: random.pick([1, 2]),
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
      dispatcher: {
        silenceMs: 1_000,
        sweepMs: 200,
        startedPerInstance: random.pick([1, 4, 4096]),
        keysKeptMs: limits.pick([0, 1_000]),
      },
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
    },
    faults: {
      struck: random.integer(0, 12),
      doubled: random.pick([0, 0.2, 0.5]),
      power: random.chance(0.5),
      disk: random.chance(0.25),
      clock: random.chance(0.2),
      pace: random.pick([usualPace, fastPace]),
    },
  }
}
