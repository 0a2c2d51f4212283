import { afterEach, expect, it } from 'vitest'
import { defineAggregate, defineApplication, defineWorkflow, type WorkflowContext } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

const refused = (): Error => new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:7420') })
const causes = ['connect ECONNREFUSED 127.0.0.1:7420']

const account = defineAggregate({
  name: 'account',
  initialState: () => ({}),
  retry: { maxAttempts: 1 },
  decide: {
    pay: (): never => {
      throw refused()
    },
  },
  evolve: { paid: (state) => state },
})

async function run(code: (context: WorkflowContext) => Promise<unknown>): ReturnType<typeof get> {
  const job = defineWorkflow({ name: 'job', run: code, retry: { maxAttempts: 2 } })
  db = await testDatabase({
    applications: [defineApplication({ name: 'jobs', aggregates: [account], workflows: [job] })],
  })
  await db.workflow(job).start('1', null)
  await db.clock.advance('1m')
  return get()
}
const get = () => db.workflow('job').get('1')

it('what an error of a request came of is recorded, and shown with it', async () => {
  const { status, error, requests } = await run((context) => context.request('call', () => Promise.reject(refused())))
  expect(status).toBe('parked')
  expect(error).toMatchObject({ code: 'TypeError', message: 'fetch failed', causes })
  expect(requests).toMatchObject([{ status: 'parked', attempt: 2, error: { message: 'fetch failed', causes } }])
})

it('it is known to whoever waits for the workflow, and to what a request that fails throws into it', async () => {
  await run((context) => context.request('call', () => Promise.reject(refused()), { retry: { onExhausted: 'fail' } }))
  await expect(db.workflow('job').result('1')).rejects.toMatchObject({
    code: 'workflow_failed',
    message: 'workflow job/1 failed: request_failed: fetch failed; caused by connect ECONNREFUSED 127.0.0.1:7420',
  })
})

it('of an error that the code itself threw it is recorded too', async () => {
  const { error } = await run(async () => {
    throw refused()
  })
  expect(error).toMatchObject({ code: 'TypeError', causes })
})

it('of a command that was parked it is part of the reason', async () => {
  await run(async () => 1)
  await expect(db.execute(account, '1', 'pay', null)).resolves.toMatchObject({
    outcome: 'parked',
    message: expect.stringMatching(/^TypeError: fetch failed, caused by connect ECONNREFUSED 127\.0\.0\.1:7420 at /),
  })
})
