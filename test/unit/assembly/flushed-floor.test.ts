import { expect, test } from 'vitest'
import { flushedFloor } from '../../../src/assembly/flushed-floor.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { openMemoryStore } from '../../../src/store/memory-store.ts'
import { putArchived, putPosition } from '../../../src/tables/meta.ts'
import { allTables } from '../../../src/tables/table-names.ts'
import { append, flush, JournalWorld } from '../journal/journal-world.ts'

const memory = { location: '/archive', createdAt: '2026-01-01T00:00:00.000Z', segNo: 4, lastLsn: 90, timeline: 1 }

test('what is remembered as archived counts as flushed, on the timeline that it was archived on', async () => {
  const world = new JournalWorld()
  const { journal } = await world.open()
  append(journal, 50)
  flush(world, journal)
  const store = openMemoryStore({ tables: allTables, environment: world.environment })
  const put = (memoryOf: typeof memory | null): Promise<void> =>
    world.drive(
      new Promise<void>((resolve) =>
        store.write(
          (batch) => {
            putPosition(batch, { applied: lsn(40), globalPosition: 1 })
            if (memoryOf !== null) putArchived(batch, memoryOf)
          },
          () => resolve(),
        ),
      ),
    )
  await put(null)
  expect(flushedFloor(store, world.storage)).toBe(40)
  await put(memory)
  expect(flushedFloor(store, world.storage)).toBe(90)
  await put({ ...memory, lastLsn: 30 })
  expect(flushedFloor(store, world.storage)).toBe(40)
  await put(memory)
  world.storage.kill()
  expect((await world.open({ acceptLoss: true, floorLsn: lsn(90) })).report.timeline).toBe(2)
  expect(flushedFloor(store, world.storage)).toBe(40)
})
