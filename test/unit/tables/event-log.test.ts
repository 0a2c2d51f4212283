import { expect, it } from 'vitest'
import { numberKey } from '../../../src/store/keys.ts'
import { EventLogReader } from '../../../src/tables/event-log.ts'
import { tableNames } from '../../../src/tables/table-names.ts'
import { ApplierWorld, Counters } from '../projection-applier/applier-world.ts'

it('reads on behind no block that is missing, wherever it begins', () => {
  const db = new ApplierWorld()
  const counters = new Counters(db)
  for (let n = 0; n < 4; n++) {
    counters.add('a', 2)
    db.flush()
  }
  const log = new EventLogReader(db.store)
  const read = (from: number): number[] => [...log.blocksFrom(from)].map(({ lastPosition }) => lastPosition)
  const whole = read(1)
  expect(whole.length).toBe(4)
  const missing = (whole[1] as number) + 1
  db.store.write(
    (batch) => batch.delete(tableNames.log, numberKey(missing)),
    () => {},
  )
  db.settle()
  for (const from of [1, missing - 1, missing])
    expect(() => read(from)).toThrow(
      expect.objectContaining({
        code: 'store_failed',
        message: expect.stringContaining(`no event block at position ${missing}`),
      }),
    )
  expect(read((whole[2] as number) + 1)).toEqual(whole.slice(3))
})
