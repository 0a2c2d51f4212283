import { afterEach, expect, it } from 'vitest'
import { defineAggregate, defineApplication, defineWorkflow, type WorkflowContext } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
afterEach(() => db.close())

const account = defineAggregate({
  name: 'account',
  initialState: () => ({}),
  decide: { deposit: () => ({ type: 'deposited', data: null }) },
  evolve: { deposited: (state) => state },
})
const patient = defineWorkflow({ name: 'patient', run: (context) => context.signal('go') })
const unknownChild = defineWorkflow({ name: 'unknownChild', run: async (_, input: number) => input })

async function run(code: (context: WorkflowContext) => Promise<unknown>) {
  const job = defineWorkflow({ name: 'job', run: code })
  db = await testDatabase({
    applications: [defineApplication({ name: 'jobs', aggregates: [account], workflows: [job, patient] })],
  })
  await db.workflow(job).start('1', null)
  await db.clock.advance('1m')
  return db.workflow(job).get('1')
}

it('a command on an aggregate that no application defines waits, says so, and is warned of once', async () => {
  const { status, waitingFor } = await run(async (context) => {
    await context.all([context.command('akkount', '1', 'deposit'), context.command('akkount', '2', 'deposit')])
  })
  expect(status).toBe('running')
  const because = 'no application defines aggregate "akkount"; there are: account'
  expect(waitingFor).toMatchObject([
    { kind: 'command', because },
    { kind: 'command', because },
  ])
  const [listed] = await db.workflows({ name: 'job', waiting: true })
  expect(listed?.waitingFor).toEqual(waitingFor)
  expect(db.warnings).toEqual([
    expect.stringMatching(
      /workflow job\/1 waits for deposit on akkount\/1, but no application that runs defines aggregate "akkount": it waits until one does/,
    ),
  ])
})

it('so does a child of a workflow that no application defines', async () => {
  const { status, waitingFor } = await run((context) => context.executeChild(unknownChild, 'a', 1))
  expect(status).toBe('running')
  expect(waitingFor).toMatchObject([
    { kind: 'child', because: 'no application defines workflow "unknownChild"; there are: job, patient' },
  ])
  expect(db.warnings).toEqual([
    expect.stringMatching(/start of unknownChild\/a, but no application that runs defines workflow "unknownChild"/),
  ])
})

it('what is defined is not warned of, and its wait has no such reason', async () => {
  const { waitingFor } = await run((context) => context.executeChild(patient, 'a', null))
  expect(waitingFor[0]).not.toHaveProperty('because')
  expect(db.warnings).toEqual([])
})

it('a command that its aggregate does not know is rejected at once', async () => {
  const { status, result } = await run((context) => context.command('account', '1', 'depositt'))
  expect(status).toBe('completed')
  expect(result).toMatchObject({ outcome: 'rejected', code: 'unknown_command' })
})
