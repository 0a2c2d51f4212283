import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'
import { historyOf, startWorkflow, untilStatus, viewOf, WorkflowDiary } from './workflow-diary.ts'

const application = 'application-journeys-1'
const victims = ['journal-writer', 'dispatcher', 'projection-applier', 'gateway', application, 'all'] as const
/** Where workflows are held while a process is killed: in each effect, in its sleep, and while it waits for a signal. */
const points = ['one', 'sleep', 'two', 'errand', 'signal', 'three'] as const
const effects = new Set<string>(['one', 'two', 'errand', 'three'])
/** Those that are held nowhere: they are anywhere between. */
const free = 8

let database: RunningDatabase
let diary: WorkflowDiary
let client: Database
beforeAll(async () => {
  diary = new WorkflowDiary()
  const resources = { env: { DIARY: diary.directory } }
  database = await RunningDatabase.start({ applications: [{ module: fixtureApplication('journeys'), resources }] })
  client = await database.connect()
})
afterAll(async () => {
  await database.remove()
  diary.remove()
})

/** Holds a workflow at its point; resolves when it is there. */
async function bring(id: string, point: (typeof points)[number]): Promise<void> {
  if (effects.has(point)) diary.hold(id, point)
  await startWorkflow(client, 'journey', id, { id, sleepMs: point === 'sleep' ? 2_000 : 1 })
  // What waits for a signal before it comes to its point gets it.
  if (point === 'three') await client.execute('workflow:journey', id, 'signal', { name: 'go', data: 'went' })
  if (effects.has(point)) {
    await diary.at(id, point)
    return
  }
  const operation = point === 'sleep' ? 'timer/sleep#1' : 'signal/go#1'
  await until(`${id} to be at ${point}`, async () => {
    const { operations } = await viewOf(client, 'journey', id)
    return operations[operation] !== undefined
  })
}

async function kill(victim: (typeof victims)[number]): Promise<void> {
  if (victim === 'all') {
    await database.killAll()
    await database.start()
    return
  }
  const killed = await database.signal(victim, 'SIGKILL')
  await until(`another ${victim}`, async () => {
    const pid = (await database.status())?.processes.find(({ name }) => name === victim)?.pid
    return typeof pid === 'number' && pid !== killed
  })
}

async function expectOnce(id: string): Promise<void> {
  const { result } = await untilStatus(client, 'journey', id, 'completed')
  expect(result).toEqual(['one', 'two', 'completed', 'errand', 'went', 'three'])
  const events = [...(await historyOf(client, 'journey', id)), ...(await historyOf(client, 'errand', id))]
  const count = (type: string, operation?: string): number =>
    events.filter((event) => event.type === type && (operation === undefined || event.data.operation === operation))
      .length
  expect(count('workflow/completed')).toBe(2)
  expect(count('command/ended')).toBe(1)
  expect(count('child/ended')).toBe(1)
  expect(await client.read('counter', id)).toMatchObject({ state: { count: 1 }, revision: 1 })
  for (const point of effects) {
    const operation = `request/${point}#1`
    expect(count('request/completed', operation)).toBe(1)
    const begun = diary.lines.filter((line) => line.what === 'begins' && line.id === id && line.point === point)
    expect(new Set(begun.map(({ key }) => key)).size).toBe(1)
    // Each time it was begun its attempt had been recorded, and its result had not.
    const ofRequest = events.filter(({ data }) => data.operation === operation)
    const end = ofRequest.findIndex(({ type }) => type === 'request/completed')
    const attempts = ofRequest.slice(0, end).map(({ data }) => data.attempt)
    expect(ofRequest.slice(end + 1)).toEqual([])
    expect(new Set(begun.map(({ attempt }) => attempt)).size).toBe(begun.length)
    for (const { attempt } of begun) expect(attempts).toContain(attempt)
  }
}

describe('kill -9 at each point between the requests of workflows', () => {
  it.each(victims)('of %s: each workflow ends once, and each request has one result', async (victim) => {
    const idOf = (point: string): string => `${victim}-${point}`
    await Promise.all(points.map((point) => bring(idOf(point), point)))
    const freeIds = Array.from({ length: free }, (_, i) => `${victim}-free-${i}`)
    for (const id of freeIds) await startWorkflow(client, 'journey', id, { id, sleepMs: 20 })
    await kill(victim)
    for (const point of effects) diary.release(idOf(point), point)
    const ids = [...points.map(idOf), ...freeIds]
    await Promise.all(
      ids.map((id) =>
        id === idOf('three') ? null : client.execute('workflow:journey', id, 'signal', { name: 'go', data: 'went' }),
      ),
    )
    for (const id of ids) await expectOnce(id)
  })
})
