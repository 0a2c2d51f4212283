import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Action } from '../../src/actions/action.ts'
import type { ClientOutcome, Database } from '../../src/client.ts'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { readFrames } from '../simulation/journal-entries.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'
import { startWorkflow, untilStatus, WorkflowDiary } from './workflow-diary.ts'

const applicationSilenceMs = 1000
const module = fixtureApplication('troublesome')
const first = 'troublesome-1'
const firstProcess = `application-${first}`
const aggregates = 200

let asked = 0
let database: RunningDatabase | undefined
afterEach(async () => {
  await database?.remove()
  database = undefined
})

/**
 * The supervisor is stopped first, so that it does not end the silent process meanwhile, which it otherwise does after ten
 * seconds: what is left is an instance that is there and does nothing.
 */
async function startAndStop(db: RunningDatabase): Promise<() => Promise<number>> {
  const supervisor = await db.pidOf('supervisor')
  const pid = await db.pidOf(firstProcess)
  process.kill(supervisor, 'SIGSTOP')
  process.kill(pid, 'SIGSTOP')
  return async () => {
    process.kill(pid, 'SIGCONT')
    process.kill(supervisor, 'SIGCONT')
    return pid
  }
}

async function start(instances: number): Promise<RunningDatabase> {
  database = await RunningDatabase.start({ applications: [{ module, instances }], limits: { applicationSilenceMs } })
  return database
}

/** So many on each aggregate, in order. */
const countAll = (client: Database, times: number): Promise<ClientOutcome[]> =>
  Promise.all(
    Array.from({ length: aggregates * times }, (_, i) => client.execute('thing', `${i % aggregates}`, 'count')),
  )

const completedOnly = (outcomes: readonly ClientOutcome[]): void =>
  expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['completed']))

/**
 * What the journal says of the first instance's comings and goings, and of what it was given, in order: up to a command
 * that is sent for it, since the status is up to a second old, and no supervisor is there to be asked.
 */
async function lifeOfFirst(db: RunningDatabase, client: Database): Promise<string[]> {
  const { lsn: upTo } = await client.execute('guarded', `${asked++}`, 'count', null, { wait: 'received' })
  const frames = readFrames(new FileStorage(join(db.dataDir, 'journal')), lsn(upTo))
  const words = frames.flatMap(({ entries }) => entries.flatMap(({ action }) => wordsOf(action)))
  return words.filter((word, i) => word !== words[i - 1])
}

function wordsOf(action: Action): string[] {
  if (!('instance' in action) || action.instance !== first) return []
  if (action.type === 'application/deregistered') return [`deregistered: ${action.reason}`]
  if (action.type === 'application/registered') return ['registered']
  return action.type === 'command/started' ? ['started'] : []
}

async function verifyCounts(client: Database, times: number): Promise<void> {
  for (let i = 0; i < aggregates; i++) {
    const { revision, state } = await client.read('thing', `${i}`)
    expect([revision, state]).toEqual([times, { count: times }])
  }
}

describe('one of two application instances that is silent for longer than it may be', () => {
  it('is deregistered, the other one ends its commands, and it comes back without deciding anything twice', async () => {
    const db = await start(2)
    const client = await db.connect()
    completedOnly(await countAll(client, 1))
    const goOn = await startAndStop(db)
    // More than it reads at a time when it goes on: it decides what it was given before it sees that it lost it.
    completedOnly(await countAll(client, 10))
    const pid = await goOn()
    await until('its drafts to be refused', () =>
      db.logged('draft refused').some(({ follower, code }) => follower === firstProcess && code === 'stale_token'),
    )
    await until('it to be there again', async () => (await lifeOfFirst(db, client)).lastIndexOf('registered') > 0)
    completedOnly(await countAll(client, 1))
    await verifyCounts(client, 12)
    expect(await lifeOfFirst(db, client)).toEqual([
      'registered',
      'started',
      'deregistered: silent',
      'registered',
      'started',
    ])
    expect(await db.pidOf(firstProcess)).toBe(pid)
    expect((await db.process(firstProcess)).restarts).toBe(0)
  })
})

describe('the only application instance that is silent for longer than it may be', () => {
  it('is deregistered, its commands wait, and it ends them when it goes on', async () => {
    const db = await start(1)
    const client = await db.connect()
    completedOnly(await countAll(client, 1))
    const goOn = await startAndStop(db)
    let ended = 0
    const all = countAll(client, 10).finally(() => ended++)
    await until('it to be deregistered', async () => (await lifeOfFirst(db, client)).at(-1) === 'deregistered: silent')
    const pending = await client.commands('pending', 10_000)
    expect(pending.filter(({ aggregate }) => aggregate?.type === 'thing').length).toBe(aggregates * 10)
    expect(ended).toBe(0)
    const pid = await goOn()
    completedOnly(await all)
    await verifyCounts(client, 11)
    expect(await db.pidOf(firstProcess)).toBe(pid)
  })
})

describe('an application instance that holds nothing but a workflow, and is stopped', () => {
  it('is deregistered, and the other one ends the workflow', async () => {
    const diary = new WorkflowDiary()
    const resources = { env: { DIARY: diary.directory } }
    const journeys = { module: fixtureApplication('journeys'), instances: 2, resources }
    const db = await RunningDatabase.start({ applications: [journeys], limits: { applicationSilenceMs } })
    database = db
    const client = await db.connect()
    diary.hold('1', 'errand')
    await startWorkflow(client, 'errand', '1', { id: '1' })
    const { pid } = await diary.at('1', 'errand')
    const supervisor = await db.pidOf('supervisor')
    process.kill(supervisor, 'SIGSTOP')
    process.kill(pid, 'SIGSTOP')
    try {
      diary.release('1', 'errand')
      const { result } = await untilStatus(client, 'errand', '1', 'completed')
      expect(result).toBe('errand')
      expect(diary.lines.filter(({ what }) => what === 'ends').map((line) => line.pid === pid)).toEqual([false])
    } finally {
      process.kill(pid, 'SIGCONT')
      process.kill(supervisor, 'SIGCONT')
      diary.remove()
    }
  })
})
