import { afterEach, describe, expect, it } from 'vitest'
import { defineApplication, defineWorkflow, type WorkflowContext } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

const hourMs = 3_600_000

async function open(run: (context: WorkflowContext) => Promise<unknown>, timeoutMs?: number) {
  const limit = timeoutMs === undefined ? {} : { timeoutMs }
  const job = defineWorkflow({ name: 'job', run, queue: { concurrency: 1 }, ...limit })
  db = await testDatabase({ applications: [defineApplication({ name: 'jobs', aggregates: [], workflows: [job] })] })
  return db.workflow(job)
}

const lastedMs = ({ startedAt, endedAt }: { startedAt: string; endedAt: string | null }): number =>
  Date.parse(endedAt ?? '') - Date.parse(startedAt)

describe('a workflow whose start was pending for long', () => {
  it('sleeps for as long as it is told from when it has its slot on', async () => {
    const jobs = await open((context) => context.sleep(hourMs))
    await jobs.start('1', null)
    const sentAtMs = db.clock.now()
    await db.execute('workflow:job', '2', 'start', { input: null }, { wait: 'received' })
    await db.clock.advance('3h')
    const second = await jobs.get('2')
    expect(second.status).toBe('completed')
    expect(lastedMs(second)).toBeGreaterThanOrEqual(hourMs)
    expect(Date.parse(second.endedAt ?? '') - sentAtMs).toBeGreaterThanOrEqual(2 * hourMs)
  })

  it('sleeps for as long as it is told after the delay that it was sent with', async () => {
    const jobs = await open((context) => context.sleep(hourMs))
    const sentAtMs = db.clock.now()
    await jobs.start('1', null, { delayMs: 2 * hourMs })
    await db.clock.advance('5h')
    const view = await jobs.get('1')
    expect(Date.parse(view.startedAt) - sentAtMs).toBeGreaterThanOrEqual(2 * hourMs)
    expect(lastedMs(view)).toBeGreaterThanOrEqual(hourMs)
  })

  it('has its whole time limit from then on', async () => {
    const jobs = await open((context) => context.sleep(hourMs), hourMs + 60_000)
    await jobs.start('1', null, { delayMs: 2 * hourMs })
    await db.clock.advance('5h')
    expect((await jobs.get('1')).status).toBe('completed')
  })
})
