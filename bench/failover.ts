import { execFile } from 'node:child_process'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect, type Database } from '../src/client.ts'
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
  /** Before, meanwhile and after, of all failovers and switches. */
  readonly acknowledged: number
  /** What is missing of it on the node that took over, or is there twice. */
  readonly wrong: number
}

interface Failover {
  readonly milliseconds: number
  readonly acknowledged: number
  readonly wrong: number
}

const failovers = 3
const switches = 3
const callers = 16
const loadMs = 2000
/** Until the node that led has begun anew as one that follows. */
const betweenSwitchesMs = 5000
const patienceMs = 60_000

export async function measureFailover({ directory, progress }: FailoverOptions): Promise<FailoverFigures> {
  const cluster = { directory: join(directory, 'failover'), nodes: ['a', 'b'], servers: 3 }
  progress('a planned switch of the leader')
  const switched = await ClusterProcesses.use(cluster, switchOver)
  const found: Failover[] = []
  for (let n = 0; n < failovers; n++) {
    progress(`failover ${n + 1} of ${failovers}`)
    found.push(await ClusterProcesses.use(cluster, failOver))
  }
  const all = found.map(({ milliseconds }) => milliseconds)
  return {
    milliseconds: median(all),
    all,
    switchMs: median(switched.gapsMs),
    acknowledged: switched.acknowledged + total(found.map(({ acknowledged }) => acknowledged)),
    wrong: switched.wrong + total(found.map(({ wrong }) => wrong)),
  }
}

/** Callers who deposit one after the other, each into an account of its own. */
class Callers {
  /** The longest time in which nothing was acknowledged; to be set to 0. */
  longestMs = 0
  readonly #db: Database
  readonly #acknowledged = Array.from({ length: callers }, () => 0)
  readonly #calls: readonly Promise<void>[]
  #lastMs = performance.now()
  #isOver = false

  constructor(db: Database) {
    this.#db = db
    this.#calls = this.#acknowledged.map((_, caller) => this.#call(caller))
  }

  /** How many deposits were acknowledged, and how many of them are missing or there twice: each is one event. */
  async end(): Promise<{ readonly acknowledged: number; readonly wrong: number }> {
    this.#isOver = true
    await Promise.all(this.#calls)
    const streams = await Promise.all(this.#acknowledged.map((_, caller) => this.#db.read('account', nameOf(caller))))
    const wrong = streams.map(({ revision }, caller) => Math.abs(revision - (this.#acknowledged[caller] ?? 0)))
    return { acknowledged: total(this.#acknowledged), wrong: total(wrong) }
  }

  async #call(caller: number): Promise<void> {
    while (!this.#isOver) {
      await this.#db.execute('account', nameOf(caller), 'deposit', deposit)
      this.#acknowledged[caller] = (this.#acknowledged[caller] ?? 0) + 1
      const nowMs = performance.now()
      this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs)
      this.#lastMs = nowMs
    }
  }
}

/** Over the end of the node that leads. */
async function failOver(cluster: ClusterProcesses): Promise<Failover> {
  const db = await connect({ dataDir: cluster.dataDirs, timeoutMs: patienceMs })
  const load = new Callers(db)
  await pause(loadMs)
  const [leader] = await cluster.leader()
  const processes = await leader.processes()
  for (const { pid } of processes) process.kill(pid, 'SIGKILL')
  const killedMs = performance.now()
  await db.execute('account', 'after-the-kill', 'deposit', deposit)
  const milliseconds = performance.now() - killedMs
  await pause(loadMs)
  const counted = await load.end()
  await db.close()
  return { milliseconds, ...counted }
}

interface Switched {
  readonly gapsMs: readonly number[]
  readonly acknowledged: number
  readonly wrong: number
}

/** There and back, as an operator does it. */
async function switchOver(cluster: ClusterProcesses): Promise<Switched> {
  const db = await connect({ dataDir: cluster.dataDirs, timeoutMs: patienceMs })
  const load = new Callers(db)
  const gapsMs: number[] = []
  for (let n = 0; n < switches; n++) {
    await pause(betweenSwitchesMs)
    load.longestMs = 0
    await promoteOther(cluster)
    await pause(loadMs)
    gapsMs.push(load.longestMs)
  }
  const counted = await load.end()
  await db.close()
  return { gapsMs, ...counted }
}

const commandLine = join(import.meta.dirname, '..', 'src', 'cli', 'commanderdb.mjs')

async function promoteOther(cluster: ClusterProcesses): Promise<void> {
  const [leader, other] = await cluster.leader()
  if (other === undefined) throw new Error('nobody else could lead')
  const args = ['cluster', 'promote', basename(other.dataDir), '--data-dir', leader.dataDir]
  await promisify(execFile)(process.execPath, [commandLine, ...args])
}

const nameOf = (caller: number): string => `caller-${caller}`

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
