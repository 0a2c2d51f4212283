import { join } from 'node:path'
import { type AddedServerFigures, measureAddedServer } from './added-server.ts'
import { type AppendLatencyFigures, measureAppendLatency } from './append-latency.ts'
import { ClusterProcesses } from './cluster.ts'
import { DatabaseProcess } from './database-process.ts'
import { type FailoverFigures, measureFailover } from './failover.ts'
import { type LagFigures, measureLag } from './follower-lag.ts'
import { type FullLoadOptions, loadOf } from './full-load.ts'
import type { Load, ProcessName } from './load.ts'
import { median } from './median.ts'

export interface ReplicatedOptions extends FullLoadOptions {
  readonly directory: string
  readonly rounds: number
  readonly progress: (text: string) => void
}

/** What it costs that three journal servers on this host keep the journal, of which two acknowledge; and what it gives. */
export interface ReplicatedFigures {
  /** Commands a second of each round, at full load. */
  readonly local: readonly number[]
  readonly replicated: readonly number[]
  /** The median of the rounds' ratios. */
  readonly ratio: number
  /** Of all processes, journal servers and client included. */
  readonly cpuMicrosPerCommand: { readonly local: number; readonly replicated: number }
  /** Of a command alone, at concurrency 1: medians of the rounds, and the median of their ratios. */
  readonly alone: { readonly localP50Ms: number; readonly replicatedP50Ms: number; readonly ratio: number }
  readonly appendLatency: AppendLatencyFigures
  readonly failover: FailoverFigures
  readonly followerLag: LagFigures
  readonly addedServer: AddedServerFigures
}

interface Round {
  readonly full: Load
  readonly alone: Load
}

/** By turns, each time from empty directories; whoever is first alternates. */
export async function measureReplicated(options: ReplicatedOptions): Promise<ReplicatedFigures> {
  const local: Round[] = []
  const replicated: Round[] = []
  for (let n = 0; n < options.rounds; n++) {
    options.progress(`replicated journal, round ${n + 1} of ${options.rounds}`)
    const isFirst = n % 2 === 0
    if (isFirst) local.push(await loadLocal(options))
    replicated.push(await loadReplicated(options))
    if (!isFirst) local.push(await loadLocal(options))
  }
  const rate = ({ full }: Round): number => full.result.commandsPerSecond
  const cpu = ({ full }: Round): number => full.cpuMicrosPerCommand
  const aloneMs = ({ alone }: Round): number => alone.result.p50Ms
  return {
    local: local.map(rate),
    replicated: replicated.map(rate),
    ratio: ratioOf(replicated, local, rate),
    cpuMicrosPerCommand: { local: median(local.map(cpu)), replicated: median(replicated.map(cpu)) },
    alone: {
      localP50Ms: median(local.map(aloneMs)),
      replicatedP50Ms: median(replicated.map(aloneMs)),
      ratio: ratioOf(replicated, local, aloneMs),
    },
    appendLatency: await measureAppendLatency(options),
    failover: await measureFailover(options),
    followerLag: await measureLag(options),
    addedServer: await measureAddedServer(options),
  }
}

const ratioOf = (these: readonly Round[], those: readonly Round[], figure: (round: Round) => number): number =>
  median(these.map((round, n) => figure(round) / figure(those[n] as Round)))

async function loadLocal(options: ReplicatedOptions): Promise<Round> {
  const database = await DatabaseProcess.start({ dataDir: join(options.directory, 'local') })
  try {
    return await loadRound(options, database, [])
  } finally {
    await database.kill()
    database.remove()
  }
}

const loadReplicated = (options: ReplicatedOptions): Promise<Round> =>
  ClusterProcesses.use({ directory: join(options.directory, 'cluster'), nodes: ['a'], servers: 3 }, async (cluster) =>
    loadRound(options, cluster.node(0), await cluster.servers.processes()),
  )

async function loadRound(
  options: ReplicatedOptions,
  database: DatabaseProcess,
  beside: readonly ProcessName[],
): Promise<Round> {
  const full = await loadOf(options, database, beside)
  return { full, alone: await loadOf(options, database, beside, 1) }
}
