import { expect, it } from 'vitest'
import { pack } from '../../../src/actions/message-pack.ts'
import { archivedStream, countStreams } from '../../../src/migrator/sources.ts'
import { encodeKey } from '../../../src/store/keys.ts'
import { openMemoryStore } from '../../../src/store/memory-store.ts'
import { allTables, tableNames } from '../../../src/tables/table-names.ts'
import { RoleWorld } from '../role-world.ts'

it('a type is told from others that begin with its name, when its streams are counted and looked for in the archive', () => {
  const world = new RoleWorld()
  const store = openMemoryStore({ tables: allTables, environment: world.environment })
  store.write(
    (batch) => {
      for (const key of ['counter/a', 'counter/b/c', 'counters/a', 'count/a'])
        batch.put(tableNames.heads, encodeKey(key), Buffer.alloc(16))
      batch.put(tableNames.lives, encodeKey('counter/a'), pack({ closedLsn: 4, archives: [] }))
      batch.put(tableNames.lives, encodeKey('counter/b/c'), pack({ closedLsn: 5 }))
      batch.put(tableNames.lives, encodeKey('counters/a'), pack({ closedLsn: 6, archives: [{ lsn: 6, upTo: 3 }] }))
    },
    () => {},
  )
  world.scheduler.settle()
  expect(countStreams(store, 'counter')).toBe(2)
  expect(archivedStream(store, 'counter')).toBeNull()
  expect(archivedStream(store, 'counters')).toBe('counters/a')
})
