import { type RunningReplicatedWriter, startReplicatedWriter } from '../../../src/assembly/start-replicated-writer.ts'
import { SocketDatabase } from '../../../src/client/socket-database.ts'
import type { LeaderAddress, Leadership } from '../../../src/ipc/leadership.ts'
import type { JournalOptions } from '../../../src/journal/options.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import type { Lsn } from '../../../src/kernel/identifiers.ts'
import type { Application } from '../../../src/sdk/application.ts'
import { stateHash } from '../../../src/state/snapshot.ts'
import { readPosition } from '../../../src/tables/meta.ts'
import { fastPace, SimulatedHost } from '../../../src/testing/simulated-host.ts'
import type { SimulatedProcess } from '../../../src/testing/simulated-process.ts'
import { TestCluster } from '../../../src/testing/test-cluster.ts'
import { Trace } from '../../../src/testing/trace.ts'
import type { ScriptedStream, StreamLeader } from './scripted-stream.ts'

export interface NodeOptions {
  readonly id: string
  readonly seed: number
  readonly stream: ScriptedStream
  readonly application: Application
  /** Of all nodes: who has led. */
  readonly ports: Map<string, StreamLeader>
  /** Default: with room for everything. */
  readonly journal?: JournalOptions | undefined
  readonly bug: (what: string, error: unknown) => void
  /** Gets everything that happens. */
  readonly print: ((line: string) => void) | null
}

/** One node of a database: a host with all its processes, and a client on it. */
export class StandbyNode {
  readonly id: string
  readonly host: SimulatedHost
  readonly client: SocketDatabase
  readonly #stream: ScriptedStream
  readonly #cluster: TestCluster
  #writer: {
    readonly running: RunningReplicatedWriter
    readonly process: SimulatedProcess
    port: StreamLeader | null
  } | null = null
  #leader: LeaderAddress | null = null
  /** By the nodes that have led: what each would answer. */
  readonly #ports: Map<string, StreamLeader>

  constructor({ id, seed, stream, application, ports, journal, bug, print }: NodeOptions) {
    this.id = id
    this.#ports = ports
    this.#stream = stream
    this.host = new SimulatedHost({
      seed,
      time: stream.time,
      trace: new Trace(print === null ? null : (line) => print(`${id} ${line}`)),
      pace: fastPace,
      bug: (what, error) => bug(`${id}: ${what}`, error),
      killed: (process) => {
        if (process === this.#writer?.process) this.#writer = null
        this.#cluster.ended(process)
      },
    })
    this.#cluster = new TestCluster({
      host: this.host,
      applications: [application],
      isolation: null,
      ...(journal === undefined ? {} : { journal }),
      tap: (process) => () => process.isAlive,
      bug: (what, error) => bug(`${id}: ${what}`, error),
      // Deposed; and what had acted on entries that were not committed.
      survives: ['fenced', 'indeterminate', 'journal_corrupt'],
      startWriter: async (surroundings, settings) => {
        const { scheduler } = surroundings.environment
        const feed = stream.feed(scheduler)
        const running = await startReplicatedWriter(surroundings, {
          ...settings,
          feed,
          leadership: this.#leadership,
          readPoint: () => this.#readPoint(),
          replicationRefusal: () => null,
        })
        const process = [...this.host.processes].findLast(({ name }) => name === 'journal-writer') as SimulatedProcess
        this.#writer = { running, process, port: null }
        return running
      },
    })
    this.client = new SocketDatabase({
      environment: this.host.start('client', true).environment,
      transport: this.host.transportOf([...this.host.processes].at(-1) as SimulatedProcess),
      addresses: ['gateway'],
      timeoutMs: 1_000,
    })
  }

  start(): void {
    this.#cluster.start()
  }

  get #leadership(): Leadership {
    return { leads: false, epoch: this.#stream.epoch, leader: this.#leader }
  }

  get address(): LeaderAddress {
    return { id: this.id, address: `${this.id}:7500`, url: `http://${this.id}:7400` }
  }

  get writer(): RunningReplicatedWriter | null {
    return this.#writer?.running ?? null
  }

  get isReady(): boolean {
    return this.#cluster.isReady && this.#writer !== null
  }

  get leads(): boolean {
    return this.#writer?.running.writer.leadership.leads === true
  }

  /** It was deposed and has not heard of it. */
  get isUnaware(): boolean {
    const port = this.#writer?.port
    return port != null && this.#stream.isUnaware(port)
  }

  /** Null while the process does not run. */
  hashOf(role: 'dispatcher' | 'gateway' | 'application' | 'projection-applier'): string | null {
    const state = this.#cluster.stateOf(role)
    return state === null ? null : `${state.lsn} ${stateHash(state)}`
  }

  /** How many segments it keeps. */
  get segments(): number {
    return segmentsOf(this.host.disk.list()).length
  }

  /** What the store has applied. */
  get applied(): number {
    return readPosition(this.host.store.now()).applied
  }

  /** Has the node lead, whoever led before. @returns false where another one was elected meanwhile */
  lead(): Promise<boolean> {
    const { running, process } = this.#writer ?? {}
    if (running === undefined || process === undefined) throw new Error(`node ${this.id} has no journal writer`)
    const port = this.#stream.elect(process.environment.scheduler)
    this.#ports.set(this.id, port)
    if (this.#writer !== null) this.#writer.port = port
    return running.lead(port, this.#stream.epoch, this.address)
  }

  /** Asked of the node that this one takes for the leader. */
  #readPoint(): Promise<Lsn> {
    const port = this.#ports.get(this.leads ? this.id : (this.#leader?.id ?? ''))
    if (port !== undefined) return this.#stream.confirm(port)
    return Promise.reject(new CommanderError('not_ready', 'no node is known to lead', { retryable: true }))
  }

  /** Another node leads. */
  heardOf(leader: LeaderAddress): void {
    this.#leader = leader
    this.#writer?.running.writer.heardOf(this.#stream.epoch, leader)
  }

  /** The host goes off and on again: what its disk had not flushed may be lost. */
  losePower(): void {
    this.#cluster.losePower()
  }

  crash(role: 'journal-writer' | 'dispatcher' | 'projection-applier' | 'gateway' | 'application'): void {
    this.#cluster.crash(role, false)
  }

  close(): void {
    this.#cluster.close()
  }
}
