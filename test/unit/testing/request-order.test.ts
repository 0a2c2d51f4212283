import { afterEach, describe, expect, it } from 'vitest'
import { defineAggregate, defineApplication, defineWorkflow, type WorkflowContext } from '../../../src/index.ts'
import { replay, type TestDatabase, testDatabase } from '../../../src/testing.ts'

let opened = Promise.withResolvers<void>()
/** Its command lets effects go on that are waiting, in the turn in which it is decided. */
const gate = defineAggregate({
  name: 'gate',
  initialState: () => ({}),
  decide: {
    open: (_: object) => {
      opened.resolve()
      return []
    },
  },
  evolve: { noted: (state) => state },
})

let db: TestDatabase
afterEach(() => db.close())

async function open(run: (context: WorkflowContext) => Promise<unknown>): Promise<ReturnType<typeof jobOf>> {
  opened = Promise.withResolvers()
  const job = jobOf(run)
  db = await testDatabase({ applications: [defineApplication({ name: 'jobs', aggregates: [gate], workflows: [job] })] })
  await db.execute('workflow:job', '1', 'start', { input: null })
  await db.settle()
  return job
}

const jobOf = (run: (context: WorkflowContext) => Promise<unknown>) => defineWorkflow({ name: 'job', run })

describe('requests that end in the same turn', () => {
  it('reach the code one after the other, as when it runs again', async () => {
    const job = await open((context) => {
      const slow = async (): Promise<unknown> => {
        await context.request('slow', () => opened.promise)
        for (let i = 0; i < 20; i++) await null
        return context.request('next', () => 'after slow')
      }
      const quick = async (): Promise<unknown> => {
        await context.request('quick', () => opened.promise)
        return context.request('next', () => 'after quick')
      }
      return context.all([slow(), quick()])
    })
    await db.execute(gate, '1', 'open', {})
    await db.settle()
    const { state } = await db.read('workflow:job', '1')
    expect(state).toMatchObject({ status: 'completed', result: ['after slow', 'after quick'] })
    const { events } = await db.stream('workflow:job', '1')
    expect(await replay(events, job)).toMatchObject({ outcome: { result: ['after slow', 'after quick'] } })
  })

  it('as a cancellation that came first are not recorded any more', async () => {
    const job = await open((context) => context.request('slow', () => opened.promise))
    await Promise.all([db.execute('workflow:job', '1', 'cancel', {}), db.execute(gate, '1', 'open', {})])
    await db.settle()
    expect(await db.read('workflow:job', '1')).toMatchObject({ state: { status: 'cancelled' } })
    const { events } = await db.stream('workflow:job', '1')
    expect(events.map(({ type }) => type)).toEqual([
      'workflow/started',
      'request/started',
      'workflow/cancel-requested',
      'workflow/cancelled',
    ])
    await replay(events, job)
  })
})
