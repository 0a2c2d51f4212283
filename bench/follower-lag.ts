import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../src/client.ts'
import { quantile } from './closed-loop.ts'
import { ClusterProcesses } from './cluster.ts'
import { type FullLoadOptions, loadOf } from './full-load.ts'
import { deposit } from './workload.ts'

export interface LagOptions extends FullLoadOptions {
  readonly directory: string
  readonly progress: (text: string) => void
}

/** From the acknowledgement of a command by the leader until a read on the follower has it, under full load. */
export interface LagFigures {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly mostMs: number
  readonly samples: number
}

const probePauseMs = 20
/** So much longer than a round of load: a probe takes long, and many are needed. */
const lengthFactor = 4

export function measureLag(options: LagOptions): Promise<LagFigures> {
  options.progress('lag of a follower')
  const cluster = { directory: join(options.directory, 'lag'), nodes: ['a', 'b'], servers: 3 }
  return ClusterProcesses.use(cluster, (running) => probe(running, options))
}

/** One caller deposits at the leader and reads at the follower while another client gives the leader all that it takes. */
async function probe(cluster: ClusterProcesses, options: LagOptions): Promise<LagFigures> {
  const [leader, follower] = await cluster.leader()
  if (follower === undefined) throw new Error('nobody follows')
  const writer = await connect({ dataDir: leader.dataDir })
  const reader = await connect({ dataDir: follower.dataDir })
  let isOver = false
  const load = loadOf({ ...options, seconds: options.seconds * lengthFactor }, leader).finally(() => {
    isOver = true
  })
  await pause(options.warmupSeconds * 1000)
  const lagsMs: number[] = []
  while (!isOver) {
    const { lsn } = await writer.execute('account', 'probe', 'deposit', deposit)
    const acknowledgedMs = performance.now()
    await reader.read('account', 'probe', { minLsn: lsn })
    lagsMs.push(performance.now() - acknowledgedMs)
    await pause(probePauseMs)
  }
  await load
  await writer.close()
  await reader.close()
  const sorted = Float64Array.from(lagsMs).sort()
  const at = (share: number): number => quantile(sorted, share)
  return { p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1), samples: sorted.length }
}
