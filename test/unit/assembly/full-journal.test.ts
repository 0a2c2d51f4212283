import { describe, expect, it } from 'vitest'
import { SocketDatabase } from '../../../src/client/socket-database.ts'
import { defineAggregate } from '../../../src/sdk/aggregate.ts'
import { defineApplication } from '../../../src/sdk/application.ts'
import { SimulatedHost } from '../../../src/testing/simulated-host.ts'
import { TestCluster } from '../../../src/testing/test-cluster.ts'
import { Trace } from '../../../src/testing/trace.ts'

const accounts = 50

/** A database in virtual time, on a disk that is full from the moment when the first command is decided. */
class FullDisk {
  readonly warnings: string[] = []
  readonly bugs: string[] = []
  decisions = 0
  isFull = false
  fillsAtDecision = true
  readonly host: SimulatedHost
  readonly client: SocketDatabase
  readonly #cluster: TestCluster

  constructor() {
    const application = this.#application()
    const bug = (what: string, error: unknown): void => void this.bugs.push(`${what}: ${String(error)}`)
    this.host = new SimulatedHost({
      seed: 1,
      trace: new Trace((line) => this.#note(line)),
      bug,
      killed: (process) => this.#cluster.ended(process),
      diskFault: ({ kind }) => (this.isFull && kind !== 'flush' && kind !== 'remove' ? 'enospc' : null),
    })
    this.#cluster = new TestCluster({
      host: this.host,
      applications: [application],
      isolation: null,
      tap: () => () => true,
      bug,
    })
    const { environment } = this.host.start('client', true)
    const process = [...this.host.processes].find(({ name }) => name === 'client')
    if (process === undefined) throw new Error('the client runs')
    this.client = new SocketDatabase({ environment, transport: this.host.transportOf(process), addresses: ['gateway'] })
  }

  #application() {
    const counter = defineAggregate({
      name: 'counter',
      initialState: () => 0,
      decide: {
        add: () => {
          this.decisions++
          if (this.fillsAtDecision) this.isFull = true
          return { type: 'added', data: null }
        },
      },
      evolve: { added: (state) => state + 1 },
    })
    return defineApplication({ name: 'shop', aggregates: [counter] })
  }

  async start(): Promise<void> {
    this.#cluster.start()
    await this.until(() => this.#cluster.isReady)
    await this.settle(this.client.open())
  }

  async settle<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.until(() => isSettled)
    return promise
  }

  async until(isOver: () => boolean): Promise<void> {
    expect(await this.host.time.run(this.host.time.nowMs + 60_000, isOver)).toBe(true)
  }

  async pass(ms: number): Promise<void> {
    await this.host.time.run(this.host.time.nowMs + ms, () => false)
  }

  get pending(): number {
    return this.#cluster.state?.commands.byLsn.size ?? 0
  }

  #note(line: string): void {
    if (/ (warn|error): /.test(line)) this.warnings.push(line)
  }
}

describe('a disk that stays full', () => {
  it('makes no process try again without a pause, and is said once', async () => {
    const db = new FullDisk()
    await db.start()
    const calls = Array.from({ length: accounts }, (_, i) => db.client.execute('counter', String(i), 'add', null))
    const ended = Promise.allSettled(calls)
    await db.until(() => db.isFull)
    await db.pass(120_000)
    expect(db.pending).toBe(accounts)
    expect(db.warnings.length).toBeLessThan(10)
    expect(db.decisions).toBeLessThan(60 * accounts)
    db.isFull = false
    db.fillsAtDecision = false
    await db.until(() => db.pending === 0)
    await db.settle(ended)
    await db.pass(1_000)
    expect(db.bugs).toEqual([])
    const states = await db.settle(Promise.all(calls.map((_, i) => db.client.read('counter', String(i)))))
    expect(states).toEqual(Array(accounts).fill(expect.objectContaining({ revision: 1, state: 1 })))
  })
})
