import { afterEach, describe, expect, it } from 'vitest'
import { defineAggregate, defineApplication, defineSchedule, defineWorkflow } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

const report = defineWorkflow({
  name: 'report',
  run: (context) => context.signal('done'),
  queue: { concurrency: 2, partitionKey: (input: { customer: string }) => input.customer },
})
const mailbox = defineAggregate({
  name: 'mailbox',
  initialState: () => ({}),
  decide: { send: (_: object) => ({ type: 'sent', data: null }) },
  evolve: { sent: (state) => state },
  queues: { send: { rateLimit: { limit: 1, periodMs: 60_000 } } },
})
const nightly = defineSchedule({
  name: 'nightly',
  cron: '0 3 * * *',
  timezone: 'Europe/Berlin',
  overlap: 'queue',
  workflow: report,
  input: { customer: 'anna' },
})

async function open(): Promise<void> {
  const schedules = [nightly]
  const application = defineApplication({ name: 'nights', aggregates: [mailbox], workflows: [report], schedules })
  db = await testDatabase({ applications: [application], startAt: '2026-01-01T00:00:00.000Z' })
}

describe('schedules', () => {
  it('say when they fire next, when they last did, and what they wait for', async () => {
    await open()
    const before = {
      name: 'nightly',
      application: 'nights',
      workflow: 'report',
      timezone: 'Europe/Berlin',
      isHosted: true,
    }
    expect(await db.schedules()).toMatchObject([
      { ...before, lastAt: null, nextAt: '2026-01-01T02:00:00.000Z', running: null, waiting: 0 },
    ])
    await db.clock.advance('2d')
    const started = '2026-01-01T02:00:00.000Z'
    expect(await db.schedules()).toMatchObject([
      {
        lastAt: '2026-01-02T02:00:00.000Z',
        nextAt: '2026-01-03T02:00:00.000Z',
        running: `report/nightly-${started}`,
        waiting: 1,
      },
    ])
  })
})

describe('queues', () => {
  it('say how much waits in each partition, what runs, and their limits', async () => {
    await open()
    const limitsOf = { concurrency: 2, rateLimit: null }
    expect(await db.queues()).toEqual([
      {
        queue: 'mailbox/send',
        partition: '',
        waiting: 0,
        running: 0,
        concurrency: null,
        rateLimit: { limit: 1, periodMs: 60_000 },
      },
      { queue: 'report', partition: '', waiting: 0, running: 0, ...limitsOf },
    ])
    for (const id of ['1', '2', '3', '4', '5'])
      await db.workflow(report).start(id, { customer: id === '5' ? 'ben' : 'anna' }, { delayMs: 1 })
    await db.clock.advance('1s')
    const queues = await db.queues()
    expect(queues.filter(({ queue }) => queue === 'report')).toEqual([
      { queue: 'report', partition: 'anna', waiting: 2, running: 2, ...limitsOf },
      { queue: 'report', partition: 'ben', waiting: 0, running: 1, ...limitsOf },
    ])
    await db.workflow(report).signal('1', 'done')
    await db.clock.advance('1s')
    expect((await db.queues()).find(({ partition }) => partition === 'anna')).toMatchObject({ waiting: 1, running: 2 })
  })
})
