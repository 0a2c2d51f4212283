import { afterEach, expect, it } from 'vitest'
import { defineApplication, defineWorkflow, type WorkflowContext } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

const child = defineWorkflow({ name: 'child', run: async () => 1 })

async function run(code: (context: WorkflowContext) => Promise<unknown>) {
  const job = defineWorkflow({ name: 'job', run: code })
  db = await testDatabase({
    applications: [defineApplication({ name: 'jobs', aggregates: [], workflows: [job, child] })],
  })
  await db.workflow(job).start('1', null)
  await db.clock.advance('1m')
  return db.workflow(job).get('1')
}

it('what is issued just before the code returns is never begun, and named in a warning', async () => {
  const { status, result } = await run(async (context) => {
    void context.request('lost', () => 1)
    void context.command('workflow:child', '1', 'signal', { name: 'go' })
    void context.startChild(child, '1', null)
    return 'done'
  })
  expect([status, result]).toEqual(['completed', 'done'])
  expect(db.effects).toEqual([])
  expect(db.warnings).toEqual([
    expect.stringMatching(
      /workflow job\/1 has returned without awaiting request\/lost#1, command\/signal workflow:child\/1#1, child\/child\/1#1: that was never begun; await it$/,
    ),
  ])
})

it('so is it before the next run begins', async () => {
  await run(async (context) => {
    if (context.workflow.run === 2) return 'done'
    void context.request('lost', () => 1)
    return context.continueAsNew(null)
  })
  expect(db.warnings).toEqual([expect.stringMatching(/without awaiting request\/lost#1/)])
})

it('what has begun by then is carried out, and nothing is said of it', async () => {
  await run(async (context) => {
    void context.request('begun', () => 1)
    await context.sleep(100)
    return 'done'
  })
  expect(db.effects).toMatchObject([{ operation: 'request/begun#1', outcome: 'completed' }])
  expect(db.warnings).toEqual([])
})

it('nothing is said of what was awaited, of a race that was lost, or of code that failed', async () => {
  await run(async (context) => {
    await context.race([context.sleep(10), context.request('slow', () => new Promise(() => {}))])
    const failing = [context.request('lost', () => 1), Promise.reject(new Error('no'))]
    await context.all(failing)
  })
  expect(db.warnings).toEqual([expect.stringMatching(/is parked and waits for a person/)])
})
