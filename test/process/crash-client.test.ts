import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { type ClientEvent, isCommanderError } from '../../src/client.ts'
import { allEvents } from './bank-load.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

let database: RunningDatabase | undefined
afterEach(() => database?.remove())

it('a program that only waits for its commands lives on while the gateway is away, and ends once it has closed its client', async () => {
  const db = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  database = db
  const count = 1500
  const program = join(import.meta.dirname, '..', 'fixtures', 'clients', 'waiting-program.ts')
  const child = spawn(process.execPath, [program, db.dataDir, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await until('its connection', () => output.includes('connected'))
  const client = await db.connect()
  const revision = async (): Promise<number> => (await client.read('thing', 'waited-for')).revision
  for (const share of [0.2, 0.5, 0.8]) {
    await until('some commands', async () => (await revision()) >= share * count || child.exitCode !== null)
    await db.signal('gateway', 'SIGKILL')
  }
  await until('its end', () => child.exitCode !== null || child.signalCode !== null)
  expect([child.exitCode, output]).toEqual([0, 'connected\ndone\n'])
  await db.ready()
  expect(await revision()).toBe(count)
})

it('a command that a database took which is gone since has an unknown outcome, and not none', async () => {
  const db = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  database = db
  const client = await db.connect({ timeoutMs: 2000 })
  await db.signal('application-troublesome-1', 'SIGSTOP')
  const call = client.execute('thing', 'a', 'count').catch((error: unknown) => error)
  await until('the command to be received', async () => (await client.commands('pending')).length === 1)
  await db.killAll()
  expect(await call).toMatchObject({ code: 'timeout', retryable: true })
  await expect(client.read('thing', 'a')).rejects.toMatchObject({ code: 'no_database' })
})

/** Kills one process of each kind, one after the other, whenever `work` has gone on a little. */
async function killEachKind(db: RunningDatabase, work: () => number, step: number): Promise<void> {
  for (const name of ['gateway', 'application-troublesome-1', 'journal-writer', 'projection-applier', 'dispatcher']) {
    const before = work()
    await until('some work', () => work() >= before + step)
    await db.signal(name, 'SIGKILL')
  }
}

it('each command that expects a revision takes effect at that revision once, whatever is killed', async () => {
  const db = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  database = db
  const client = await db.connect()
  const revisions: number[] = []
  let stop = false
  const worker = async (): Promise<void> => {
    while (!stop) {
      const { revision } = await client.read('thing', 'contended')
      try {
        const outcome = await client.execute('thing', 'contended', 'count', null, {
          expectedRevision: revision,
          wait: 'applied',
        })
        if (outcome.outcome !== 'completed') throw new Error(JSON.stringify(outcome))
        expect(outcome.events[0]?.revision).toBe(revision + 1)
        revisions.push(revision + 1)
      } catch (error) {
        if (!isCommanderError(error) || (error.code !== 'revision_mismatch' && !error.retryable)) throw error
      }
    }
  }
  const workers = Promise.all(Array.from({ length: 8 }, worker))
  await killEachKind(db, () => revisions.length, 15)
  const before = revisions.length
  await until('some more work', () => revisions.length >= before + 15)
  stop = true
  await workers
  await db.ready()
  const last = (await client.read('thing', 'contended')).revision
  expect([...revisions].sort((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
})

it('a subscriber sees every event once and in order, whatever is killed', async () => {
  const db = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  database = db
  const [client, reader] = [await db.connect(), await db.connect()]
  const seen: ClientEvent[] = []
  const ends = new AbortController()
  const reading = (async () => {
    for await (const event of reader.subscribe({ signal: ends.signal })) seen.push(event)
  })()
  let stop = false
  const workers = Promise.all(
    Array.from({ length: 16 }, async (_, i) => {
      while (!stop) await client.execute('thing', `${i}`, 'count')
    }),
  )
  await killEachKind(db, () => seen.length, 300)
  const before = seen.length
  await until('some more events', () => seen.length >= before + 300)
  stop = true
  await workers
  await db.ready()
  const status = await until('a status', () => db.status())
  await client.read('thing', '0', { minLsn: status.lsn.flushed })
  const all = await allEvents(client)
  await until('all events', () => seen.length >= all.length)
  expect(seen).toEqual(all)
  ends.abort()
  await reading
})
