import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import type { TortureResult } from '../torture.ts'
import { within } from '../within.ts'
import { type ClusterFault, strikeCluster } from './cluster-faults.ts'
import { type Connections, RecordedClients } from './recorded-clients.ts'
import { TorturedCluster } from './tortured-cluster.ts'

const calmAnswers = 100
const violationsMax = 50

/** One cluster with an etcd of its own, tortured from its first command to the look at the whole history in the end. */
export class ClusterTorture {
  readonly #cluster: TorturedCluster
  readonly #result: TortureResult
  readonly #random: SeededRandom
  readonly #load: RecordedClients
  #connections: Connections | null = null
  /** How often a node was seen to have the state of the other one. */
  #agreements = 0

  static async create(seed: number, result: TortureResult): Promise<ClusterTorture> {
    return new ClusterTorture(seed, result, await TorturedCluster.withEtcd())
  }

  private constructor(seed: number, result: TortureResult, cluster: TorturedCluster) {
    this.#cluster = cluster
    this.#result = result
    this.#random = new SeededRandom(seed)
    this.#load = new RecordedClients(seed)
  }

  get logPaths(): readonly string[] {
    return this.#cluster.nodes.map(({ directory }) => join(directory, 'log'))
  }

  async start(): Promise<void> {
    await this.#cluster.start()
    this.#connections = await this.#cluster.clients.connections()
  }

  /** @returns how long nobody was answered, in milliseconds. */
  async cycle(fault: ClusterFault): Promise<number> {
    const cluster = this.#cluster
    const { etcd } = cluster
    if (this.#connections === null || etcd === null) throw new Error('not started')
    const answers = (count: number): Promise<void> => this.#load.more(count)
    this.#load.start(this.#connections)
    await answers(this.#random.integer(20, 400))
    await sleep(this.#random.integer(0, 100))
    await strikeCluster(fault, { cluster, etcd, random: this.#random, answers })
    await answers(calmAnswers)
    await cluster.whole()
    await this.#compareStates()
    await within('the answers to all calls', this.#load.pause())
    return this.#count(fault)
  }

  /** The whole history against what is there in the end. */
  async finish(): Promise<void> {
    if (this.#agreements === 0) this.#violation('the nodes never said whether they had the same state')
    const findings = await within('the look at everything', this.#cluster.clients.check(this.#load))
    for (const { badness, text } of findings) {
      if (badness === 'lost') this.#result.lost++
      if (badness === 'duplicated') this.#result.duplicated++
      this.#violation(`${badness}: ${text}`)
    }
  }

  /** What the nodes say of each other's states, and of those of their processes. */
  async #compareStates(): Promise<void> {
    for (const node of this.#cluster.nodes) {
      const { divergences = 0, nodes = [] } = (await node.status())?.attestation ?? {}
      if (divergences > 0) this.#violation(`${divergences} processes had another state than the others of their node`)
      for (const { node: other, agreedLsn, difference } of nodes) {
        if (difference !== null) this.#violation(`node ${other} has another state after entry ${difference.lsn}`)
        else if (agreedLsn > 0) this.#agreements++
      }
    }
  }

  async remove(): Promise<void> {
    this.#load.abandon()
    await this.#cluster.remove()
  }

  #count(fault: ClusterFault): number {
    const result = this.#result
    const load = this.#load
    const unavailableMs = Math.round(load.takeLongestSilenceMs())
    const row = result.rows.get(fault) ?? { cycles: 0, longestUnavailableMs: 0 }
    row.cycles++
    row.longestUnavailableMs = Math.max(row.longestUnavailableMs, unavailableMs)
    result.rows.set(fault, row)
    result.cycles++
    if (!fault.startsWith('SIGSTOP')) result.killCycles++
    result.longestUnavailableMs = Math.max(result.longestUnavailableMs, unavailableMs)
    result.acknowledged += load.acknowledged
    load.acknowledged = 0
    for (const [code, count] of load.errors) result.errors.set(code, (result.errors.get(code) ?? 0) + count)
    load.errors.clear()
    for (const text of load.violations.splice(0)) this.#violation(text)
    return unavailableMs
  }

  #violation(text: string): void {
    if (this.#result.violations.length < violationsMax) this.#result.violations.push(text)
  }
}
