import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClientOutcome, Database } from '../../src/client.ts'
import { mountingRefusal, SmallDisk } from '../torture/small-disk.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

const refusal = mountingRefusal()

let database: RunningDatabase | undefined
let disk: SmallDisk | undefined
afterEach(async () => {
  await database?.killAll()
  disk?.unmount()
  disk = undefined
  await database?.remove()
})

/** The store alone lies on a small disk; the journal has room. */
async function startOnSmallDisk(): Promise<RunningDatabase> {
  const db = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  database = db
  await db.stop()
  const store = join(db.dataDir, 'store')
  const aside = join(db.directory, 'aside')
  cpSync(store, aside, { recursive: true })
  disk = SmallDisk.mount(store, 24)
  cpSync(aside, store, { recursive: true })
  rmSync(aside, { recursive: true })
  await db.start()
  return db
}

const produce = (client: Database, count: number): Promise<ClientOutcome[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => client.execute('thing', `${i}`, 'produce', { bytes: 50_000 })))

describe.runIf(refusal === null)('a store without room, where the journal has some', () => {
  it('lets commands be decided, says to reads and in the status what is wrong, and catches up once there is room', async () => {
    const db = await startOnSmallDisk()
    const client = await db.connect()
    expect((await produce(client, 1))[0]?.outcome).toBe('completed')
    disk?.fill()
    const outcomes = await produce(client, 100)
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['completed']))
    const reading = client.read('thing', '99').then(null, (error: unknown) => error)
    const status = await until('the status to tell', async () => {
      const now = await db.status()
      return now?.storeTrouble == null ? null : now
    })
    expect(status).toMatchObject({
      ready: true,
      degraded: true,
      storeTrouble: { code: 'store_failed', message: expect.stringContaining('no room on the disk'), retryable: true },
    })
    expect(await reading).toMatchObject({ code: 'store_failed', retryable: true })
    disk?.makeRoom()
    await until('the trouble to be over', async () => {
      const now = await db.status()
      return now?.storeTrouble === null && !now.degraded
    })
    expect((await client.read('thing', '99')).revision).toBe(1)
    expect((await client.read('thing', '0')).revision).toBe(2)
    expect((await db.process('projection-applier')).restarts).toBe(0)
  })
})
