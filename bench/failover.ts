import { execFile } from 'node:child_process'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect } from '../src/client.ts'
import { ClusterProcesses } from './cluster.ts'
import { median } from './median.ts'
import { deposit } from './workload.ts'

export interface FailoverOptions {
  readonly directory: string
  readonly progress: (text: string) => void
}

export interface FailoverFigures {
  /** From SIGKILL of every process of the leading node to the completion of a command sent then; the median of all. */
  readonly milliseconds: number
  readonly all: readonly number[]
  /** Of a planned switch under the same load, by `cluster promote`: the longest time in which no command was completed. The median of all. */
  readonly switchMs: number
  /** Before, meanwhile and after, of all. */
  readonly acknowledged: number
  /** What is missing of it on the node that took over, or is there twice. */
  readonly wrong: number
}

interface Failover {
  readonly milliseconds: number
  readonly switchMs: number
  readonly acknowledged: number
  readonly wrong: number
}

const failovers = 3
const callers = 16
const loadMs = 2000
const patienceMs = 60_000

export async function measureFailover({ directory, progress }: FailoverOptions): Promise<FailoverFigures> {
  const found: Failover[] = []
  for (let n = 0; n < failovers; n++) {
    progress(`failover ${n + 1} of ${failovers}`)
    const cluster = { directory: join(directory, 'failover'), nodes: ['a', 'b'], servers: 3 }
    found.push(await ClusterProcesses.use(cluster, failOver))
  }
  const all = found.map(({ milliseconds }) => milliseconds)
  return {
    milliseconds: median(all),
    all,
    switchMs: median(found.map(({ switchMs }) => switchMs)),
    acknowledged: total(found.map(({ acknowledged }) => acknowledged)),
    wrong: total(found.map(({ wrong }) => wrong)),
  }
}

/** Callers deposit one after the other, each into an account of its own, over a planned switch and then the end of the node that leads. */
async function failOver(cluster: ClusterProcesses): Promise<Failover> {
  const db = await connect({ dataDir: cluster.dataDirs, timeoutMs: patienceMs })
  const acknowledged = Array.from({ length: callers }, () => 0)
  let isOver = false
  let lastMs = performance.now()
  let longestMs = 0
  const calls = acknowledged.map(async (_, caller) => {
    while (!isOver) {
      await db.execute('account', nameOf(caller), 'deposit', deposit)
      acknowledged[caller] = (acknowledged[caller] ?? 0) + 1
      const nowMs = performance.now()
      longestMs = Math.max(longestMs, nowMs - lastMs)
      lastMs = nowMs
    }
  })
  await pause(loadMs)
  longestMs = 0
  await promoteOther(cluster)
  await pause(loadMs)
  const switchMs = longestMs
  const [leader] = await cluster.leader()
  const processes = await leader.processes()
  for (const { pid } of processes) process.kill(pid, 'SIGKILL')
  const killedMs = performance.now()
  await db.execute('account', 'after-the-kill', 'deposit', deposit)
  const milliseconds = performance.now() - killedMs
  await pause(loadMs)
  isOver = true
  await Promise.all(calls)
  const streams = await Promise.all(acknowledged.map((_, caller) => db.read('account', nameOf(caller))))
  await db.close()
  // Each deposit is one event.
  const wrong = streams.map(({ revision }, caller) => Math.abs(revision - (acknowledged[caller] ?? 0)))
  return { milliseconds, switchMs, acknowledged: total(acknowledged), wrong: total(wrong) }
}

const commandLine = join(import.meta.dirname, '..', 'src', 'cli', 'commanderdb.mjs')

/** As an operator does. */
async function promoteOther(cluster: ClusterProcesses): Promise<void> {
  const [leader, other] = await cluster.leader()
  if (other === undefined) throw new Error('nobody else could lead')
  const args = ['cluster', 'promote', basename(other.dataDir), '--data-dir', leader.dataDir]
  await promisify(execFile)(process.execPath, [commandLine, ...args])
}

const nameOf = (caller: number): string => `caller-${caller}`

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
