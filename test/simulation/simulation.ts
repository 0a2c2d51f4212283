import { defaultJournalOptions } from '../../src/journal/options.ts'
import { readPosition } from '../../src/tables/meta.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { SimulatedHost } from '../../src/testing/simulated-host.ts'
import { Trace } from '../../src/testing/trace.ts'
import { readFrames } from './journal-entries.ts'
import { Workload, type WorkloadSettings } from './client.ts'
import { Cluster, type ClusterSettings, roleNames } from './cluster.ts'
import { type FaultSettings, Faults } from './faults.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly print?: (line: string) => void
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
  readonly faults: Readonly<Record<string, number>>
}

const faultsMostMs = 60_000
const quietMostMs = 120_000

/** One history of the whole database; everything in it follows from the seed. */
export async function simulate({ seed, print }: SimulationOptions): Promise<SimulationResult> {
  const trace = new Trace(print ?? null)
  const plan = planOf(seed)
  const violations: string[] = []
  const violate = (what: string): void => {
    trace.note(host.time.nowMs, 'CHECK', what)
    if (violations.length < 20) violations.push(what)
  }
  const bug = (what: string, error: unknown): void =>
    violate(`${what}: ${error instanceof Error ? error.stack : String(error)}`)
  const host: SimulatedHost = new SimulatedHost({
    seed,
    trace,
    copyBytes: plan.copyBytes,
    ...(plan.windowBytes === undefined ? {} : { windowBytes: plan.windowBytes }),
    bug,
    killed: (process) => cluster.ended(process),
    ran: (process) => cluster.ran(process),
  })
  const cluster = new Cluster(host, plan.cluster, { bug, recovered: () => {}, state: () => {} })
  const workload = new Workload(cluster, plan.workload, bug)
  const faults = new Faults(cluster, workload, plan.faults)

  for (const name of roleNames) if (name !== 'bank-2' || plan.instances === 2) cluster.want(name)
  workload.start()
  faults.start()
  await host.time.run(faultsMostMs, () => workload.isDone || violations.length > 0)
  faults.stop()
  const until = host.time.nowMs + quietMostMs
  const isOver = await host.time.run(until, () => violations.length > 0 || (workload.isDone && isStored(host, cluster)))
  if (!isOver && violations.length === 0) {
    violate(
      `liveness: ${workload.unanswered} calls have no answer, the store is at ${readPosition(host.store.now()).applied}`,
    )
  }
  if (print !== undefined) for (const line of journalLines(host, cluster)) print(line)
  const entries = cluster.journal?.writtenLsn ?? 0
  return {
    seed,
    violations,
    traceHash: trace.hash,
    events: host.time.events,
    virtualMs: Math.round(host.time.nowMs),
    entries,
    calls: workload.calls.length,
    completed: workload.calls.filter(({ outcome }) => outcome?.outcome === 'completed').length,
    faults: faults.counts,
  }
}

interface Plan {
  readonly copyBytes: boolean
  readonly windowBytes: number | undefined
  readonly instances: number
  readonly cluster: ClusterSettings
  readonly workload: WorkloadSettings
  readonly faults: FaultSettings
}

/** How this history is; drawn from numbers of its own, so that a change of the plan does not change the chances within. */
function planOf(seed: number): Plan {
  const random = new SeededRandom(seed ^ 0x5eed)
  const isSlow = random.chance(0.15)
  return {
    copyBytes: random.chance(0.7),
    windowBytes: random.pick([undefined, undefined, 65_536, 8_192]),
    instances: random.pick([1, 2]),
    cluster: {
      journal: { ...defaultJournalOptions, segmentBytes: 1 << 20, blockBytes: random.pick([512, 4096]) },
      flush: {
        writerDelayMs: random.pick([5, 50, 200]),
        flushAfterBytes: random.pick([1_000, 1_048_576]),
        commitDelayMicros: random.pick([0, 0, 500]),
        durability: 'flushed',
      },
      dispatcher: { silenceMs: 1_000, sweepMs: 200, startedPerInstance: random.pick([1, 4, 4096]) },
      commitIntervalMs: random.pick([0, 5, 25]),
      checkpointTimeoutMs: random.pick([100, 1_000, 300_000]),
      pendingCommands: random.pick([3, 1_000, 1_000]),
      liveBytesMax: random.pick([1, 4_096, 67_108_864]),
    },
    workload: {
      clients: random.integer(1, 3),
      workers: random.integer(1, 6),
      callsPerClient: random.integer(10, 45),
      thinkMs: isSlow ? 2_000 : random.pick([1, 5, 50]),
      accounts: random.pick([1, 2, 4, 8]),
      padding: random.pick([0, 0, 0, 300, 20_000]),
      timeoutMs: 30_000,
    },
    faults: {
      meanPauseMs: isSlow ? 1_000 : random.pick([10, 30, 100, 300]),
      most: random.integer(0, 12),
      power: random.chance(0.5),
      disk: random.chance(0.2),
      clock: random.chance(0.2),
    },
  }
}

/** The store has everything that is in the journal, and nothing more will be written. */
function isStored(host: SimulatedHost, cluster: Cluster): boolean {
  const { journal } = cluster
  return journal !== null && readPosition(host.store.now()).applied === journal.writtenLsn
}

function journalLines(host: SimulatedHost, cluster: Cluster): string[] {
  if (cluster.journal === null) return ['no journal writer is running']
  return readFrames(host.disk, cluster.journal.writtenLsn).flatMap(({ entries }) =>
    entries.map(({ lsn, origin, sequence, action }) => `ENTRY ${lsn} by ${origin}:${sequence} ${JSON.stringify(action)}`),
  )
}
