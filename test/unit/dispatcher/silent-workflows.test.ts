import { describe, expect, it } from 'vitest'
import { decodeEntry } from '../../../src/actions/decode.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import { SocketDatabase } from '../../../src/client/socket-database.ts'
import { JournalReader } from '../../../src/journal/reader.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { defineApplication } from '../../../src/sdk/application.ts'
import { defineWorkflow } from '../../../src/sdk/workflow.ts'
import { SimulatedHost } from '../../../src/testing/simulated-host.ts'
import type { SimulatedProcess } from '../../../src/testing/simulated-process.ts'
import { TestCluster } from '../../../src/testing/test-cluster.ts'
import { Trace } from '../../../src/testing/trace.ts'

/** A database in virtual time with one workflow, whose effect ends when the test says so. */
class WaitingWorkflow {
  readonly bugs: string[] = []
  readonly host: SimulatedHost
  readonly client: SocketDatabase
  readonly #cluster: TestCluster
  effects = 0
  endEffect: () => void = () => {}

  constructor() {
    const waiting = defineWorkflow({
      name: 'waiting',
      run: (context) =>
        context.request('wait', () => {
          this.effects++
          return new Promise<string>((resolve) => {
            this.endEffect = () => resolve('done')
          })
        }),
    })
    const bug = (what: string, error: unknown): void => void this.bugs.push(`${what}: ${String(error)}`)
    this.host = new SimulatedHost({
      seed: 1,
      trace: new Trace(),
      bug,
      killed: (process) => this.#cluster.ended(process),
    })
    this.#cluster = new TestCluster({
      host: this.host,
      applications: [defineApplication({ name: 'shop', aggregates: [], workflows: [waiting] })],
      isolation: null,
      tap: () => () => true,
      bug,
    })
    const process = this.host.start('client', true)
    const { environment } = process
    this.client = new SocketDatabase({ environment, transport: this.host.transportOf(process), addresses: ['gateway'] })
  }

  get application(): SimulatedProcess {
    const process = [...this.host.processes].find(({ name }) => name === 'shop-1')
    if (process === undefined) throw new Error('the application runs')
    return process
  }

  async begin(): Promise<void> {
    this.#cluster.start()
    await this.until(() => this.#cluster.isReady)
    void this.client.open()
    void this.client.runWorkflow('waiting', '1', null, { timeoutMs: 86_400_000 }).catch(() => {})
    await this.until(() => this.effects === 1)
  }

  async until(isOver: () => boolean): Promise<void> {
    expect(await this.host.time.run(this.host.time.nowMs + 600_000, isOver)).toBe(true)
  }

  async pass(ms: number): Promise<void> {
    await this.host.time.run(this.host.time.nowMs + ms, () => false)
  }

  get active(): number {
    return this.#cluster.state?.activations.byKey.size ?? 0
  }

  /** Why the instance was deregistered, each time. */
  get deregistrations(): string[] {
    const reader = new JournalReader(this.host.disk, lsn(1))
    const batches = reader.read(Number.POSITIVE_INFINITY, this.#cluster.journal?.writtenLsn ?? lsn(0))
    reader.close()
    const reasons: string[] = []
    for (const { payload: b } of batches) {
      for (let o = 0; o < b.length; o += padded(lengthOf(b, o))) {
        const { action } = decodeEntry(b, o)
        if (action.type === 'application/deregistered') reasons.push(action.reason)
      }
    }
    return reasons
  }
}

describe('an application instance that holds nothing but a workflow', () => {
  it('is deregistered when its process does not answer, and goes on with it when it comes back', async () => {
    const db = new WaitingWorkflow()
    await db.begin()
    db.application.suspend(400_000)
    await db.pass(300_000)
    expect(db.deregistrations).toEqual(['silent'])
    expect(db.active).toBe(1)
    await db.until(() => db.effects === 2)
    db.endEffect()
    await db.until(() => db.active === 0)
    expect(db.bugs).toEqual([])
  })

  it('is not, as long as its process answers, however long the workflow waits for what it does outside', async () => {
    const db = new WaitingWorkflow()
    await db.begin()
    await db.pass(3_600_000)
    expect([db.deregistrations, db.effects, db.active]).toEqual([[], 1, 1])
    db.endEffect()
    await db.until(() => db.active === 0)
    expect(db.bugs).toEqual([])
  })

  it('is not for being away for less than that', async () => {
    const db = new WaitingWorkflow()
    await db.begin()
    for (let i = 0; i < 20; i++) {
      db.application.suspend(20_000)
      await db.pass(61_000)
    }
    expect([db.deregistrations, db.effects]).toEqual([[], 1])
  })
})
