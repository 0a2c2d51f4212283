import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { allTables } from '../../src/tables/table-names.ts'
import { fixtureApplication, RunningDatabase } from './running-database.ts'

let database: RunningDatabase | undefined
afterEach(async () => {
  await database?.remove()
  database = undefined
})

it('a store that has not all tables yet, as of an older release, gets them when the database starts', async () => {
  database = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  const before = await database.connect()
  await before.execute('thing', '1', 'count')
  await database.killAll()
  const path = join(database.dataDir, 'store')
  rmSync(path, { recursive: true })
  mkdirSync(database.dataDir, { recursive: true })
  const older = { path, tables: allTables.slice(0, 11), readOnly: false, environment: createSystemEnvironment() }
  await openLmdbStore(older).close()
  await database.start()
  const client = await database.connect()
  expect(await client.execute('thing', '1', 'count')).toMatchObject({ outcome: 'completed' })
})
