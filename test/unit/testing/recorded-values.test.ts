import { afterEach, expect, it } from 'vitest'
import { defineApplication, defineWorkflow, type WorkflowContext } from '../../../src/index.ts'
import { replay, type TestDatabase, testDatabase } from '../../../src/testing.ts'

const dayMs = 86_400_000

let db: TestDatabase
afterEach(() => db.close())

type Run = (context: WorkflowContext, input: unknown) => Promise<unknown>
type Definitions = { readonly [Name in string]: Run }

async function open(runs: Definitions): Promise<void> {
  const workflows = Object.entries(runs).map(([name, run]) => defineWorkflow({ name, run }))
  db = await testDatabase({ applications: [defineApplication({ name: 'jobs', aggregates: [], workflows })] })
}

class Money {
  cents = 1
}

const values = {
  date: new Date(5),
  bytes: new Uint8Array([1, 2]),
  list: [1, undefined],
  missing: undefined,
  zero: -0,
}

/** What code sees of a value: its types too. */
const seen = (value: unknown): unknown =>
  typeof value === 'object' &&
  value !== null &&
  (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
    ? Object.entries(value).map(([key, one]) => [key, seen(one)])
    : [Object.prototype.toString.call(value), value?.constructor.name, String(value)]

it('code sees the same values before and after a crash, wherever they come from', async () => {
  const runs: unknown[] = []
  await open({
    child: async () => values,
    job: async (context, input) => {
      const came: unknown[] = [input, await context.request('get', () => values)]
      came.push(await context.executeChild(defineWorkflow({ name: 'child', run: async () => values }), 'c', null))
      came.push(await context.signal('go'))
      const callback = context.awakeable()
      context.setStatus(callback.id)
      came.push(await callback.value)
      runs.push(came.map(seen))
      await context.sleep(dayMs)
      return came
    },
  })
  const job = db.workflow('job')
  await job.start('1', values)
  await db.settle()
  await job.signal('1', 'go', values)
  await db.settle()
  await db.resolveAwakeable((await job.get('1')).progress as string, values)
  await db.settle()
  db.crash('application')
  await db.clock.advance('2d')

  expect(runs).toHaveLength(2)
  expect(runs[1]).toEqual(runs[0])
  const plain = { date: new Date(5), bytes: new Uint8Array([1, 2]), list: [1, null], zero: 0 }
  expect(runs[0]).toEqual(Array.from({ length: 5 }, () => seen(plain)))
  expect((await job.get('1')).result).toStrictEqual(Array.from({ length: 5 }, () => plain))
})

it('what code does to a result does not change what is recorded', async () => {
  const lengths: number[] = []
  await open({
    job: async (context) => {
      const items = await context.request('get', () => [1])
      const status = { items }
      context.setStatus(status)
      items.push(2)
      lengths.push(items.length)
      await context.sleep(dayMs)
      return items
    },
  })
  const job = db.workflow('job')
  await job.start('1', null)
  await db.settle()
  expect((await job.get('1')).progress).toEqual({ items: [1] })
  db.crash('application')
  await db.clock.advance('2d')
  expect(lengths).toEqual([2, 2])
  expect(await job.get('1')).toMatchObject({ status: 'completed', result: [1, 2], progress: { items: [1] } })
})

it('a result that would come back as something else is refused, and its place named', async () => {
  await open({
    job: async (context) => context.request('get', () => ({ prices: [new Money()] })),
  })
  await db.workflow('job').start('1', null)
  await db.settle()
  expect(await db.workflow('job').get('1')).toMatchObject({
    status: 'failed',
    error: {
      code: 'result_invalid',
      message: expect.stringMatching(
        /^the result of request\/get#1 has a Money at prices\[0\], which cannot be recorded/,
      ),
    },
  })
})

it('the result of the workflow itself is refused too: it is parked, to be mended and retried', async () => {
  await open({ job: async () => new Map([['a', 1]]) })
  await db.workflow('job').start('1', null)
  await db.settle()
  expect(await db.workflow('job').get('1')).toMatchObject({
    status: 'parked',
    error: { code: 'result_invalid', message: expect.stringMatching(/^the result of workflow job is a Map/) },
  })
  const { events } = await db.stream('workflow:job', '1')
  expect((await replay(events.slice(0, 1), defineWorkflow({ name: 'job', run: async () => 1 }))).outcome).toMatchObject(
    {
      result: 1,
    },
  )
})

it.each<[string, Run, RegExp]>([
  [
    'the data of a command',
    (context) => context.command('workflow:job', '2', 'x', { a: new Set() }),
    /^the data of command x on workflow:job\/2 has a Set at a/,
  ],
  [
    'the data of its compensation',
    (context) => context.command('workflow:job', '2', 'x', 1, { compensate: { command: 'y', data: 1n } }),
    /^the data of command y on workflow:job\/2 is a bigint/,
  ],
  ['a status', async (context) => context.setStatus(new Map()), /^what setStatus was given is a Map/],
  [
    'the input of a child',
    (context) =>
      context.executeChild(defineWorkflow({ name: 'job', run: async (_, _input: unknown) => 1 }), '2', new Map()),
    /^the input of workflow job\/2 is a Map/,
  ],
  [
    'the input of the next run',
    async (context) => context.continueAsNew(new Map()),
    /^the input of continueAsNew is a Map/,
  ],
])('so is %s', async (_, run, message) => {
  await open({ job: run })
  await db.workflow('job').start('1', null)
  await db.settle()
  expect(await db.workflow('job').get('1')).toMatchObject({
    status: 'parked',
    error: { code: 'invalid_input', message: expect.stringMatching(message) },
  })
})

it('what is sent from outside is refused before it is sent', async () => {
  await open({ job: (context) => context.signal('go') })
  const job = db.workflow('job')
  await expect(job.start('1', new Map())).rejects.toMatchObject({ code: 'invalid_input' })
  await job.start('1', null)
  await expect(job.signal('1', 'go', { a: new Set() })).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringMatching(/^the data of signal go has a Set at a/),
  })
})
