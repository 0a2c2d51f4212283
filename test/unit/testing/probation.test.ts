import { afterEach, describe, expect, it } from 'vitest'
import { type AnyWorkflow, defineAggregate, defineApplication, defineWorkflow } from '../../../src/index.ts'
import { type TestDatabase, testDatabase } from '../../../src/testing.ts'

let db: TestDatabase
let isMended = false
afterEach(() => {
  isMended = false
  return db.close()
})

const counter = defineAggregate({
  name: 'counter',
  initialState: () => 0,
  decide: { add: () => ({ type: 'added', data: null }) },
  evolve: { added: (state: number, _: null) => state + 1 },
})

const crash = (): Promise<never> => {
  db.crash('application', { byItself: true })
  return new Promise(() => {})
}

/** Waits for somebody outside, for long. */
const slow = defineWorkflow({
  name: 'slow',
  run: (context, _: null) => context.request('wait', () => (isMended ? 'done' : new Promise<string>(() => {}))),
})

/** Takes its process down as soon as it runs. */
const poison = defineWorkflow({
  name: 'poison',
  run: (context, _: null) => context.request('boom', crash),
})

async function open(...workflows: AnyWorkflow[]): Promise<void> {
  db = await testDatabase({ applications: [defineApplication({ name: 'a', aggregates: [counter], workflows })] })
}

const statusOf = async (name: string): Promise<string> => (await db.workflow(name).get('1')).status
const start = (name: string): Promise<unknown> =>
  db.execute(`workflow:${name}`, '1', 'start', { input: null }, { wait: 'received' })

describe('a workflow on probation, after its process has crashed by itself', () => {
  it('is not blamed for a workflow that is started meanwhile and crashes the process', async () => {
    await open(slow, poison)
    await start('slow')
    await db.settle()
    db.crash('application', { byItself: true })
    await start('poison')
    await db.clock.advance('5m')
    expect([await statusOf('slow'), await statusOf('poison')]).toEqual(['running', 'parked'])
    isMended = true
    db.crash('application')
    await db.clock.advance('1m')
    expect(await statusOf('slow')).toBe('completed')
  })

  it('is found guilty of what it does, however much there is to do beside it', async () => {
    await open(slow, poison)
    await start('slow')
    await start('poison')
    let sent = 0
    for (let round = 0; round < 2_000 && (await statusOf('poison')) !== 'parked'; round++) {
      for (let i = 0; i < 5; i++) await db.execute('counter', String(sent++ % 7), 'add', null, { wait: 'received' })
    }
    expect([await statusOf('slow'), await statusOf('poison')]).toEqual(['running', 'parked'])
    await db.settle()
    let added = 0
    for (let id = 0; id < 7; id++) added += (await db.read(counter, String(id))).state
    expect([added, await db.commands('parked')]).toEqual([sent, []])
  })
})
