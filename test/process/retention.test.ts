import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { allEvents } from './bank-load.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

const segmentBytes = 1 << 20
const maxJournalBytes = 4 * segmentBytes
const troublesome = fixtureApplication('troublesome')
const bank = join(import.meta.dirname, '..', '..', 'src', 'examples', 'bank', 'bank.ts')

let database: RunningDatabase | undefined
afterEach(async () => {
  await database?.remove()
  database = undefined
})

async function start(journal: object = {}, applications = [{ module: troublesome }]): Promise<RunningDatabase> {
  database = await RunningDatabase.start({
    applications,
    journal: { segmentBytes, maxJournalBytes, ...journal },
  })
  return database
}

const journalOf = (db: RunningDatabase): string => join(db.dataDir, 'journal')
const segmentsOf = (db: RunningDatabase): string[] => readdirSync(journalOf(db)).filter((name) => /^\d/.test(name))

/** A file may lose its name while one looks. */
function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

const journalBytes = (db: RunningDatabase): number =>
  readdirSync(journalOf(db)).reduce((sum, name) => sum + bytesOf(join(journalOf(db), name)), 0)

/** Returns the most bytes that the journal took meanwhile. */
async function load(db: RunningDatabase, client: Database, count: number, textLength = 1000): Promise<number> {
  const text = 'x'.repeat(textLength)
  let most = 0
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const { outcome } = await client.execute('thing', `${i % 100}`, 'count', { text })
      expect(outcome).toBe('completed')
      if (i % 20 === 0) most = Math.max(most, journalBytes(db))
    }
  }
  await Promise.all(Array.from({ length: 64 }, worker))
  return most
}

async function verifyCount(db: RunningDatabase, client: Database, count: number): Promise<void> {
  const { lsn } = await until('a status', () => db.status())
  await client.read('thing', '0', { minLsn: lsn.flushed })
  expect((await allEvents(client)).length).toBe(count)
}

describe('a journal with a limit', () => {
  it('stays within it and one segment under load, and loses nothing, over kills too', async () => {
    const db = await start()
    const client = await db.connect({ timeoutMs: 900_000 })
    expect(await load(db, client, 10_000)).toBeLessThanOrEqual(maxJournalBytes + segmentBytes)
    await db.killAll()
    await db.start()
    expect(await load(db, client, 5000)).toBeLessThanOrEqual(maxJournalBytes + segmentBytes)
    await verifyCount(db, client, 15_000)
    expect(segmentsOf(db)[0]).not.toMatch(/^0000000001-/)
  })

  it('goes on without waiting for a process that is stopped, which then starts again from the store', async () => {
    const db = await start({}, [{ module: troublesome }, { module: bank }])
    const client = await db.connect({ timeoutMs: 900_000 })
    const idle = await db.pidOf('application-bank-1')
    await db.signal('application-bank-1', 'SIGSTOP')
    expect(await load(db, client, 3000, 20_000)).toBeLessThanOrEqual(maxJournalBytes + segmentBytes)
    process.kill(idle, 'SIGCONT')
    await until('another process in its place', async () => (await db.pidOf('application-bank-1')) !== idle)
    expect(db.log).toContain('a process is too far behind')
    await client.execute('account', 'anna', 'deposit', { amountCents: 1 })
    await verifyCount(db, client, 3001)
  })
})

describe('a checkpoint by time', () => {
  it('makes segments go that nobody needs, while nothing else happens', async () => {
    const db = await start({ maxJournalBytes: 1 << 30, checkpointTimeoutMs: 1000, checkpointCompletionTarget: 0.5 })
    const client = await db.connect({ timeoutMs: 900_000 })
    await load(db, client, 2000)
    await until('one segment', () => segmentsOf(db).length === 1)
    await verifyCount(db, client, 2000)
  })
})
