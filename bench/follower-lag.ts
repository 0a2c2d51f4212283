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

/** Of each caller, from one probe to the next: unlike, so that they do not keep step. */
const probePausesMs = [20, 35, 55, 80]
/** So much longer than a round of load: a probe takes long, and many are needed. */
const lengthFactor = 8

export function measureLag(options: LagOptions): Promise<LagFigures> {
  options.progress('lag of a follower')
  const cluster = { directory: join(options.directory, 'lag'), nodes: ['a', 'b'], servers: 3 }
  return ClusterProcesses.use(cluster, (running) => probe(running, options))
}

/** A few callers deposit at the leader and read at the follower while another client gives the leader all that it takes. */
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
  const probeOne = async (account: string, pauseMs: number): Promise<void> => {
    while (!isOver) {
      const { lsn } = await writer.execute('account', account, 'deposit', deposit)
      const acknowledgedMs = performance.now()
      await reader.read('account', account, { minLsn: lsn })
      lagsMs.push(performance.now() - acknowledgedMs)
      await pause(pauseMs)
    }
  }
  await Promise.all(probePausesMs.map((pauseMs, n) => probeOne(`probe-${n}`, pauseMs)))
  await load
  await writer.close()
  await reader.close()
  const sorted = Float64Array.from(lagsMs).sort()
  const at = (share: number): number => quantile(sorted, share)
  return { p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1), samples: sorted.length }
}
