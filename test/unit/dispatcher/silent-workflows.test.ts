import { describe, expect, it } from 'vitest'
import { defineApplication } from '../../../src/sdk/application.ts'
import { defineWorkflow } from '../../../src/sdk/workflow.ts'
import type { SimulatedProcess } from '../../../src/testing/simulated-process.ts'
import { SimulatedDatabase } from '../simulated-database.ts'

const enoughMs = 600_000

/** One workflow, whose effect ends when the test says so. */
class WaitingWorkflow extends SimulatedDatabase {
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
    super(defineApplication({ name: 'shop', aggregates: [], workflows: [waiting] }))
  }

  get application(): SimulatedProcess {
    return this.process('shop-1')
  }

  async begin(): Promise<void> {
    await this.start()
    void this.client.runWorkflow('waiting', '1', null, { timeoutMs: 86_400_000 }).catch(() => {})
    await this.until(() => this.effects === 1)
  }

  override until(isOver: () => boolean): Promise<void> {
    return super.until(isOver, enoughMs)
  }

  get active(): number {
    return this.cluster.state?.activations.byKey.size ?? 0
  }

  /** Why the instance was deregistered, each time. */
  get deregistrations(): string[] {
    return this.entriesOf('application/deregistered').map(({ reason }) => reason)
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
