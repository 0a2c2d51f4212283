import { afterEach, describe, expect, it } from 'vitest'
import {
  type AnyWorkflow,
  defineApplication,
  defineWorkflow,
  TerminalError,
  type WorkflowContext,
} from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

async function open(...workflows: AnyWorkflow[]): Promise<void> {
  db = await testDatabase({ applications: [defineApplication({ name: 'jobs', aggregates: [], workflows })] })
}
const start = async (name: string): Promise<void> => {
  await db.execute(`workflow:${name}`, '1', 'start', { input: null })
  await db.settle()
}
const stateOf = async (name: string, id = '1'): Promise<unknown> => (await db.read(`workflow:${name}`, id)).state

const leaf = defineWorkflow({
  name: 'leaf',
  run: async (context) => {
    await context.request('book', () => '', { compensate: () => null })
    await context.sleep(86_400_000)
  },
})

describe('in a whole database', () => {
  it('a cancelled parent cancels its children, and theirs, and each undoes what it did', async () => {
    const branch = defineWorkflow({ name: 'branch', run: (context) => context.executeChild(leaf, 'l', null) })
    const root = defineWorkflow({ name: 'root', run: (context) => context.executeChild(branch, 'b', null) })
    await open(leaf, branch, root)
    await start('root')
    db.crashAt('workflow/cancelled: written')
    await db.execute('workflow:root', '1', 'cancel', { reason: 'enough' })
    await db.clock.advance('1m')
    for (const [name, id] of [
      ['root', '1'],
      ['branch', 'b'],
      ['leaf', 'l'],
    ] as const)
      expect(await stateOf(name, id)).toMatchObject({ status: 'cancelled', error: { message: 'enough' } })
    expect(db.effects.map(({ operation }) => operation)).toEqual(['request/book#1', 'compensation/book#1'])
  })

  it('a failed child is the error of its parent', async () => {
    const child = defineWorkflow({
      name: 'child',
      run: async (context) => {
        await context.request('check', () => {
          throw new TerminalError('declined', 'no money')
        })
      },
    })
    await open(child, defineWorkflow({ name: 'root', run: (context) => context.executeChild(child, 'c', null) }))
    await start('root')
    expect(await stateOf('root')).toMatchObject({
      status: 'failed',
      error: { code: 'child_failed', message: 'no money' },
    })
  })

  it('a request is tried again as its policy says, over crashes, and then parks the workflow for a person', async () => {
    let isDown = true
    const retry = { maxAttempts: 3, initialDelayMs: 60_000, maxDelayMs: 3_600_000 }
    const job = defineWorkflow({
      name: 'job',
      run: (context) =>
        context.request(
          'call',
          async () => {
            if (isDown) throw new Error('down')
            return 'up'
          },
          { retry },
        ),
    })
    await open(job)
    await start('job')
    db.crash()
    await db.clock.advance('10m')
    expect(db.effects.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, 'failed'],
      [2, 'failed'],
      [3, 'failed'],
    ])
    expect((db.effects[2]?.atMs ?? 0) - (db.effects[1]?.atMs ?? 0)).toBeGreaterThanOrEqual(120_000)
    expect(await stateOf('job')).toMatchObject({ status: 'parked', error: { message: 'down' } })
    isDown = false
    await db.execute('workflow:job', '1', 'retry', {})
    await db.settle()
    expect(await stateOf('job')).toMatchObject({ status: 'completed', result: 'up' })
  })

  it('an effect that waits for something real holds virtual time back', async () => {
    const job = defineWorkflow({
      name: 'job',
      run: (context) =>
        context.request('read', () => new Promise((resolve) => setTimeout(() => resolve('real'), 20)), {
          timeoutMs: 1,
        }),
    })
    await open(job)
    await start('job')
    expect(await stateOf('job')).toMatchObject({ status: 'completed', result: 'real' })
    expect(db.effects).toHaveLength(1)
  })

  it('an effect may ask the database itself', async () => {
    const job = defineWorkflow({
      name: 'job',
      run: async (context) => {
        await context.request('tell', async () => {
          await db.execute('workflow:job', context.workflow.id, 'signal', { name: 'go', data: 5 })
        })
        return context.signal('go')
      },
    })
    await open(job)
    await start('job')
    expect(await stateOf('job')).toMatchObject({ status: 'completed', result: 5 })
  })

  it('a workflow that takes its process down twice is parked', async () => {
    const job = defineWorkflow({ name: 'job', run: (context) => context.request('boom', () => 'done') })
    await open(job)
    for (const occurrence of [1, 2])
      db.crashAt('effect boom: before', { role: 'application', byItself: true, occurrence })
    await start('job')
    await db.clock.advance('10m')
    expect(await stateOf('job')).toMatchObject({ status: 'parked', error: { code: 'process_failed' } })
    expect(db.effects).toEqual([])
  })

  it('code that no longer matches parks once, shows expected beside actual, and is not tried again by itself', async () => {
    const former = async (context: WorkflowContext): Promise<unknown> => {
      await context.request('hotel', () => 'room 3')
      return context.signal('go')
    }
    let run = former
    await open(defineWorkflow({ name: 'trip', run: (context) => run(context) }))
    await start('trip')
    run = async (context) => context.request('motel', () => 'bed 9')
    db.crash('application')
    await db.execute('workflow:trip', '1', 'signal', { name: 'other' })
    await db.clock.advance('1d')
    const details = { expected: 'request/hotel#1', actual: ['request/motel#1'] }
    const parked = { status: 'parked', error: { code: 'non_determinism', details } }
    expect(await stateOf('trip')).toMatchObject(parked)
    const count = async (): Promise<number> =>
      (await db.stream('workflow:trip', '1')).events.filter(({ type }) => type === 'workflow/parked').length
    expect(await count()).toBe(1)
    await db.execute('workflow:trip', '1', 'signal', { name: 'go', data: 'now' })
    await db.clock.advance('1d')
    expect(await count()).toBe(1)
    await db.execute('workflow:trip', '1', 'retry', {})
    await db.settle()
    expect(await stateOf('trip')).toMatchObject(parked)
    expect(await count()).toBe(2)
    run = former
    await db.execute('workflow:trip', '1', 'retry', {})
    await db.settle()
    expect(await stateOf('trip')).toMatchObject({ status: 'completed', result: 'now' })
    expect(db.effects.map(({ operation }) => operation)).toEqual(['request/hotel#1'])
  })
})
