import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { fixtureApplication, RunningDatabase, residentBytesOf, until } from './running-database.ts'
import { historyOf, startWorkflow, untilStatus, viewOf, WorkflowDiary } from './workflow-diary.ts'

const application = 'application-journeys-1'
let database: RunningDatabase
let diary: WorkflowDiary
let client: Database
beforeEach(async () => {
  diary = new WorkflowDiary()
  const resources = { env: { DIARY: diary.directory } }
  database = await RunningDatabase.start({ applications: [{ module: fixtureApplication('journeys'), resources }] })
  client = await database.connect()
})
afterEach(async () => {
  await database.remove()
  diary.remove()
})

const retry = (name: string, id: string): Promise<unknown> => client.execute(`workflow:${name}`, id, 'retry', {})

describe('a request that takes its process down', () => {
  it('parks its workflow when it has crashed it alone, and no other one, and goes on when it is retried', async () => {
    // One that is in the middle of a slow request during every crash.
    diary.hold('slow', 'one')
    await startWorkflow(client, 'journey', 'slow', { id: 'slow', sleepMs: 1 })
    await diary.at('slow', 'one')
    await startWorkflow(client, 'poison', 'bad', { id: 'bad' })
    const others = Array.from({ length: 20 }, (_, i) => `other-${i}`)
    await Promise.all(others.map((id) => startWorkflow(client, 'journey', id, { id, sleepMs: 5 })))
    const counted = Promise.all(others.map((id) => client.execute('counter', `own-${id}`, 'count')))
    const { error } = await untilStatus(client, 'poison', 'bad', 'parked')
    expect(error).toMatchObject({ code: 'process_failed', message: expect.stringContaining('at last on nothing else') })
    // First with everything, then beside the slow one, which was given its time, and what commands had begun; then alone.
    const crashes = diary.lines.filter(({ what }) => what === 'poison').length
    expect([2, 3, 4]).toContain(crashes)
    expect(new Set((await counted).map(({ outcome }) => outcome))).toEqual(new Set(['completed']))
    diary.release('slow', 'one')
    for (const id of ['slow', ...others]) await client.execute('workflow:journey', id, 'signal', { name: 'go' })
    for (const id of ['slow', ...others]) await untilStatus(client, 'journey', id, 'completed')
    expect(await client.commands('parked')).toEqual([])
    diary.cure('bad')
    await retry('poison', 'bad')
    expect(await untilStatus(client, 'poison', 'bad', 'completed')).toMatchObject({ result: 'cured' })
  })

  it('is found also among several that do so', async () => {
    const bad = ['bad-1', 'bad-2', 'bad-3']
    await Promise.all(bad.map((id) => startWorkflow(client, 'poison', id, { id })))
    for (const id of bad) await untilStatus(client, 'poison', id, 'parked')
    await startWorkflow(client, 'failing', 'good', { id: 'good' })
    await untilStatus(client, 'failing', 'good', 'parked')
    expect(await client.commands('parked')).toEqual([])
  })
})

describe('a request that fails in every attempt', () => {
  it('parks its workflow, which goes on from it when it is retried', async () => {
    await startWorkflow(client, 'failing', 'a', { id: 'a' })
    expect(await untilStatus(client, 'failing', 'a', 'parked')).toMatchObject({ error: { message: 'not yet' } })
    await database.signal(application, 'SIGKILL')
    await retry('failing', 'a')
    await until('it to be parked again', async () => {
      const { status } = await viewOf(client, 'failing', 'a')
      return status === 'parked' && diary.lines.filter(({ what }) => what === 'tries').length === 4
    })
    diary.cure('a')
    await retry('failing', 'a')
    expect(await untilStatus(client, 'failing', 'a', 'completed')).toMatchObject({ result: ['first', 'second'] })
    expect(diary.lines.filter(({ what, point }) => what === 'begins' && point === 'first')).toHaveLength(1)
    const tries = diary.lines.filter(({ what }) => what === 'tries')
    expect(new Set(tries.map(({ key }) => key)).size).toBe(1)
    expect(tries.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5])
  })
})

describe('many requests, and many workflows', () => {
  it('are no more than one run of the code after a crash', async () => {
    const requests = 1_500
    await startWorkflow(client, 'long', 'a', { requests, pauseAt: 999 })
    await until('it to pause', async () => (await viewOf(client, 'long', 'a')).operations && (await pausedAt(1_000)))
    await database.signal(application, 'SIGKILL')
    await client.execute('workflow:long', 'a', 'signal', { name: 'go' })
    expect(await untilStatus(client, 'long', 'a', 'completed')).toMatchObject({ result: requests })
    expect(diary.lines.filter(({ what }) => what === 'runs')).toHaveLength(2)
    const events = await historyOf(client, 'long', 'a')
    expect(events.length).toBeGreaterThan(0)
  })

  const pausedAt = async (completed: number): Promise<boolean> => {
    const view = (await viewOf(client, 'long', 'a')) as unknown as { completedRequests: number }
    return view.completedRequests === completed
  }

  it('cost the application no memory while they sleep', async () => {
    const sleepers = async (from: number, count: number): Promise<number> => {
      for (let at = from; at < from + count; at += 500)
        await Promise.all(Array.from({ length: 500 }, (_, i) => startWorkflow(client, 'sleeper', `${at + i}`, {})))
      return residentBytesOf(await database.pidOf(application))
    }
    // What is kept at most is kept by then.
    const first = await sleepers(0, 2_000)
    const then = await sleepers(2_000, 3_000)
    expect((then - first) / 3_000).toBeLessThan(15_000)
  })
})
