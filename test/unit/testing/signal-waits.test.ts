import { afterEach, expect, it } from 'vitest'
import { defineApplication, defineWorkflow } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

const approval = defineWorkflow({
  name: 'approval',
  run: async (context) => {
    await context.request('ask', () => '')
    const first = await context.signal('approve')
    await context.sleep(86_400_000)
    return [first, await context.signal('approve')]
  },
})

it('a signal that a workflow waits for is shown, also after everything was lost but the disk', async () => {
  db = await testDatabase({
    applications: [defineApplication({ name: 'office', aggregates: [], workflows: [approval] })],
  })
  const approvals = db.workflow(approval)
  await approvals.start('1', null)
  await db.settle()
  const { waitingFor } = await approvals.get('1')
  expect(waitingFor).toMatchObject([{ kind: 'signal', operation: 'signal/approve#1', dueAt: null }])
  expect(Date.parse(waitingFor[0]?.since ?? '')).toBeLessThanOrEqual(db.clock.now())
  const [listed] = await db.workflows({ name: 'approval', waiting: true })
  expect(listed?.waitingFor).toEqual(waitingFor)

  await db.clock.advance('1h')
  db.crash()
  await db.settle()
  expect((await approvals.get('1')).waitingFor).toEqual(waitingFor)

  await approvals.signal('1', 'approve', 'yes')
  await db.settle()
  expect((await approvals.get('1')).waitingFor).toMatchObject([{ kind: 'timer' }])
  await db.clock.advance('1d')
  expect((await approvals.get('1')).waitingFor).toMatchObject([{ operation: 'signal/approve#2' }])
  await approvals.signal('1', 'approve', 'again')
  expect(await approvals.result('1')).toEqual(['yes', 'again'])
  expect((await approvals.get('1')).waitingFor).toEqual([])
})
