import { join } from 'node:path'
import { type AddedServerFigures, measureAddedServer } from './added-server.ts'
import { type AppendLatencyFigures, measureAppendLatency } from './append-latency.ts'
import { ClusterProcesses } from './cluster.ts'
import { DatabaseProcess } from './database-process.ts'
import { type FailoverFigures, measureFailover } from './failover.ts'
import { type LagFigures, measureLag } from './follower-lag.ts'
import { type FullLoadOptions, fullLoad } from './full-load.ts'
import type { Load } from './load.ts'
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
  readonly appendLatency: AppendLatencyFigures
  readonly failover: FailoverFigures
  readonly followerLag: LagFigures
  readonly addedServer: AddedServerFigures
}

/** By turns, each time from empty directories; whoever is first alternates. */
export async function measureReplicated(options: ReplicatedOptions): Promise<ReplicatedFigures> {
  const local: Load[] = []
  const replicated: Load[] = []
  for (let n = 0; n < options.rounds; n++) {
    options.progress(`replicated journal, round ${n + 1} of ${options.rounds}`)
    const isFirst = n % 2 === 0
    if (isFirst) local.push(await loadLocal(options))
    replicated.push(await loadReplicated(options))
    if (!isFirst) local.push(await loadLocal(options))
  }
  const rates = (loads: readonly Load[]): readonly number[] => loads.map(({ result }) => result.commandsPerSecond)
  const cpu = (loads: readonly Load[]): number => median(loads.map(({ cpuMicrosPerCommand }) => cpuMicrosPerCommand))
  return {
    local: rates(local),
    replicated: rates(replicated),
    ratio: median(rates(replicated).map((value, n) => value / (rates(local)[n] ?? Number.NaN))),
    cpuMicrosPerCommand: { local: cpu(local), replicated: cpu(replicated) },
    appendLatency: await measureAppendLatency(options),
    failover: await measureFailover(options),
    followerLag: await measureLag(options),
    addedServer: await measureAddedServer(options),
  }
}

async function loadLocal(options: ReplicatedOptions): Promise<Load> {
  const database = await DatabaseProcess.start({ dataDir: join(options.directory, 'local') })
  try {
    return await fullLoad(options, database)
  } finally {
    await database.kill()
    database.remove()
  }
}

const loadReplicated = (options: ReplicatedOptions): Promise<Load> =>
  ClusterProcesses.use({ directory: join(options.directory, 'cluster'), nodes: ['a'], servers: 3 }, async (cluster) =>
    fullLoad(options, cluster.node(0), await cluster.servers.processes()),
  )
