import { readPosition } from '../../src/tables/meta.ts'
import { listWorkflows } from '../../src/tables/workflow-index.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { fastPace, SimulatedHost, usualPace } from '../../src/testing/simulated-host.ts'
import { Trace } from '../../src/testing/trace.ts'
import { readFrames } from './journal-entries.ts'
import { StateWatch } from './state-watch.ts'
import { checkEffects, checkHistories, checkReplays, checkTimers, foldJournal } from './workflow-checks.ts'
import { type ClientSettings, FlowClients } from './workflow-clients.ts'
import { FlowCluster, type FlowRole, flowRoles } from './workflow-cluster.ts'
import { flowsOf } from './workflow-code.ts'
import { OutsideWorld } from './workflow-outside.ts'

export interface WorkflowSimulation {
  readonly seed: number
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly events: number
  readonly virtualMs: number
  readonly entries: number
  readonly workflows: number
  readonly effects: number
  readonly repeated: number
  readonly faults: Readonly<Record<string, number>>
}

const faultsMostMs = 15_000
const startWallMs = 1_700_000_000_000
const quietMostMs = 120_000

/** One history of a database with workflows; everything in it follows from the seed. */
export async function simulateWorkflows(
  seed: number,
  print: ((line: string) => void) | null = null,
): Promise<WorkflowSimulation> {
  const history = new WorkflowHistory(seed, print)
  await history.run()
  return history.result()
}

class WorkflowHistory {
  readonly #seed: number
  readonly #print: ((line: string) => void) | null
  readonly #trace: Trace
  readonly #violations: string[] = []
  readonly #host: SimulatedHost
  readonly #cluster: FlowCluster
  readonly #outside: OutsideWorld
  readonly #clients: FlowClients
  readonly #watch: StateWatch
  readonly #plan: Plan
  readonly #faults: Record<string, number> = {}
  /** When each entry was written. */
  readonly #writtenAt: number[] = []
  #workflows = 0
  #isFaulty = true
  #looks = 0

  constructor(seed: number, print: ((line: string) => void) | null) {
    this.#seed = seed
    this.#print = print
    this.#trace = new Trace(print)
    this.#plan = planOf(seed)
    const bug = (what: string, error: unknown): void =>
      this.#violate(`${what}: ${error instanceof Error ? error.stack : String(error)}`)
    this.#host = new SimulatedHost({
      seed,
      trace: this.#trace,
      pace: this.#plan.isFast ? fastPace : usualPace,
      flushesCommits: this.#plan.flushesCommits,
      startWallMs,
      bug,
      killed: (process) => {
        this.#noteWritten()
        this.#cluster.ended(process)
      },
      ran: (process) => {
        this.#noteWritten()
        this.#cluster.ran(process)
      },
    })
    this.#watch = new StateWatch((what) => this.#violate(what))
    this.#cluster = new FlowCluster(this.#host, this.#plan, {
      bug,
      recovered: (upTo) => {
        this.#watch.recovered(upTo)
        this.#writtenAt.length = Math.min(this.#writtenAt.length, upTo)
      },
      state: (role, state) => this.#watch.look(role, state),
      applicationOf: (process) => flowsOf(this.#outside.of(process)),
    })
    this.#outside = new OutsideWorld(this.#cluster)
    this.#clients = new FlowClients(this.#cluster, this.#outside, this.#plan.clients, bug)
  }

  async run(): Promise<void> {
    const { time } = this.#host
    for (const role of flowRoles) if (role !== 'flows-2' || this.#plan.instances === 2) this.#cluster.want(role)
    this.#clients.start()
    this.#faultLater()
    this.#helpLater()
    await time.run(faultsMostMs, () => this.#isViolated || this.#now(() => this.#clients.isDone && this.#areOver))
    this.#quiet()
    const isOver = await time.run(time.nowMs + quietMostMs, () => this.#isViolated || this.#now(() => this.#isQuiet))
    if (!isOver) this.#violate(`liveness: ${this.#whatIsLeft()}`)
    // What is found here is the better explanation, also of a workflow that did not end.
    await this.#check(isOver)
  }

  result(): WorkflowSimulation {
    const { calls } = this.#outside
    return {
      seed: this.#seed,
      violations: this.#violations,
      traceHash: this.#trace.hash,
      events: this.#host.time.events,
      virtualMs: Math.round(this.#host.time.nowMs),
      entries: this.#cluster.journal?.writtenLsn ?? 0,
      workflows: this.#workflows,
      effects: calls.length,
      repeated: calls.length - new Set(calls.map(({ key }) => key)).size,
      faults: this.#faults,
    }
  }

  get #isViolated(): boolean {
    return this.#violations.length > 0
  }

  #violate(what: string): void {
    this.#trace.note(this.#host.time.nowMs, 'CHECK', what)
    if (this.#violations.length < 20) this.#violations.push(what)
  }

  #noteWritten(): void {
    this.#outside.flushedLsn = Math.max(this.#outside.flushedLsn, this.#cluster.journal?.flushedLsn ?? 0)
    const written: number = this.#cluster.journal?.writtenLsn ?? 0
    while (this.#writtenAt.length < written) this.#writtenAt.push(this.#host.time.nowMs)
  }

  /** Looks now and then only. */
  #now(isOver: () => boolean): boolean {
    return ++this.#looks % 50 === 0 && isOver()
  }

  #wallMsOf(lsn: number): number | undefined {
    const atMs = this.#writtenAt[lsn - 1]
    return atMs === undefined ? undefined : atMs + this.#host.wallOffsetMs
  }

  get #unended(): string[] {
    return [...listWorkflows(this.#host.store.now(), 'workflow:job', '')]
      .filter(({ endedAtMs }) => endedAtMs === null)
      .map(({ id }) => id)
  }

  get #areOver(): boolean {
    return this.#unended.length === 0
  }

  get #isQuiet(): boolean {
    if (!this.#clients.isDone || !this.#areOver) return false
    const states = this.#cluster.states
    const at = this.#cluster.journal?.flushedLsn
    // What the store does not have yet it does not know to be under way.
    if (readPosition(this.#host.store.now()).applied !== at) return false
    return (
      states?.every(
        (state) =>
          state.lsn === at &&
          state.commands.byLsn.size === 0 &&
          state.outbox.size === 0 &&
          state.activations.byKey.size === 0,
      ) ?? false
    )
  }

  #whatIsLeft(): string {
    return `not ended: ${this.#unended.join(' ')}; ${this.#cluster.describe()}`
  }

  #helpLater(): void {
    const { time, random } = this.#host
    time.after(random.fraction() * (this.#isFaulty ? 2_000 : 600), () => {
      for (const id of this.#unended) if (!this.#isFaulty || random.chance(0.3)) this.#clients.help(id)
      this.#clients.callBack()
      if (!this.#isQuiet) this.#helpLater()
    })
  }

  #faultLater(): void {
    const { time, random } = this.#host
    time.after(random.fraction() * this.#plan.faultEveryMs, () => {
      if (!this.#isFaulty) return
      const kind = random.pick(this.#plan.faults)
      this.#faults[kind] = (this.#faults[kind] ?? 0) + 1
      this.#trace.note(time.nowMs, 'FAULT', kind)
      this.#strike(kind, random.pick(flowRoles))
      this.#faultLater()
    })
  }

  #strike(kind: string, role: FlowRole): void {
    const { random, time, network } = this.#host
    const { process } = this.#cluster.slot(role)
    switch (kind) {
      case 'kill':
        if (process !== null) this.#cluster.kill(role)
        return
      case 'leave':
        if (this.#plan.instances === 2) this.#cluster.leave('flows-2')
        time.after(random.fraction() * 500, () => this.#plan.instances === 2 && this.#cluster.want('flows-2'))
        return
      case 'killInStep':
        process?.killAfterSteps(random.integer(0, random.pick([3, 30])))
        this.#cluster.slot(role).former = 'killed'
        return
      case 'sever':
        network.severAll(random.pick(['journal', 'gateway', 'applier']))
        return
      case 'suspend':
        process?.suspend(random.pick([20, 300, 2_500]))
        return
      case 'suspendInStep':
        process?.suspendAfterSteps(random.integer(0, 20), random.pick([20, 300, 2_500]))
        return
      case 'power':
        this.#cluster.losePower()
        time.after(random.fraction() * 100, () => this.#cluster.powerIsBack())
        return
      case 'clock':
        this.#host.wallOffsetMs += random.pick([-1, 1]) * random.pick([random.integer(1, 3_000), 20_000])
        return
      default:
    }
  }

  /** A dispatcher that starts anew goes by the wall clock: one that did so while it was wrong has its timers wrong. */
  #putClockRight(): void {
    if (!this.#plan.faults.includes('clock')) return
    this.#host.wallOffsetMs = Math.max(this.#host.wallOffsetMs, startWallMs)
    this.#cluster.kill('dispatcher')
  }

  #quiet(): void {
    this.#isFaulty = false
    this.#outside.isHealed = true
    this.#putClockRight()
    for (const process of this.#host.processes) {
      process.killAfterSteps(Number.POSITIVE_INFINITY)
      process.suspendAfterSteps(Number.POSITIVE_INFINITY, 0)
    }
    if (!this.#cluster.hasPower) this.#cluster.powerIsBack()
    for (const role of flowRoles) if (role !== 'flows-2' || this.#plan.instances === 2) this.#cluster.want(role)
  }

  async #check(isOver: boolean): Promise<void> {
    const { journal } = this.#cluster
    if (journal === null) return
    const violate = (what: string): void => this.#violate(what)
    const frames = readFrames(this.#host.disk, journal.writtenLsn)
    if (this.#print !== null)
      for (const { entries } of frames)
        for (const { lsn, origin, action } of entries)
          this.#print(`ENTRY ${lsn} by ${origin} ${JSON.stringify(action)}`)
    const isWhole = isOver && !this.#isViolated
    const histories = foldJournal(frames, isWhole, violate)
    this.#workflows = histories.byKey.size
    if (isWhole) {
      checkHistories(histories, violate)
      checkEffects(histories, this.#outside, violate)
    }
    await checkReplays(histories, violate)
    if (!this.#plan.faults.includes('clock')) checkTimers(histories, (lsn) => this.#wallMsOf(lsn), violate)
    this.#watch.replay(frames, new Set())
    this.#checkStarts(violate)
  }

  /** A workflow has the input of a start that was answered as completed. */
  #checkStarts(violate: (what: string) => void): void {
    const winners = new Map<string, string>()
    for (const { id, steps, answer } of this.#clients.starts) {
      if (answer.outcome !== 'completed') continue
      const input = JSON.stringify(steps)
      const other = winners.get(id)
      if (other !== undefined && other !== input) violate(`${id} was started with two inputs`)
      winners.set(id, input)
    }
  }
}

interface Plan {
  readonly instances: number
  readonly isFast: boolean
  readonly flushesCommits: boolean
  readonly liveBytesMax: number
  readonly attestIntervalMs: number
  readonly faultEveryMs: number
  readonly faults: readonly string[]
  readonly clients: ClientSettings
}

function planOf(seed: number): Plan {
  const random = new SeededRandom(seed ^ 0xf10)
  const usual = ['kill', 'kill', 'kill', 'killInStep', 'killInStep', 'sever', 'suspend', 'suspendInStep', 'leave']
  return {
    instances: random.pick([1, 2]),
    isFast: random.chance(0.3),
    flushesCommits: random.chance(0.6),
    liveBytesMax: random.pick([1, 4_096, 67_108_864]),
    attestIntervalMs: 100,
    faultEveryMs: random.pick([60, 400, 3_000, 1_000_000]),
    faults: [...usual, ...(random.chance(0.5) ? ['power', 'power'] : []), ...(random.chance(0.2) ? ['clock'] : [])],
    clients: {
      workflows: random.integer(1, 5),
      stepsMost: random.pick([2, 4, 9]),
      thinkMs: random.pick([1, 20, 100]),
    },
  }
}
