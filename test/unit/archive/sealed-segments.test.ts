import { expect, test } from 'vitest'
import { append, flush } from '../journal/journal-world.ts'
import { ArchiveWorld } from './archive-world.ts'

test('a segment counts as sealed once the entry behind its seal is flushed, and not an entry sooner', async () => {
  const world = new ArchiveWorld()
  const { journal } = await world.world.open()
  while (world.sealed().length < 2) append(journal, 2, 100_000)
  flush(world.world, journal)
  const [first, second] = world.sealed()
  expect(first?.next.baseLsn).toBe((first?.lastLsn ?? 0) + 1)
  const numbersAt = (flushedLsn: number): number[] => world.sealed(flushedLsn).map(({ segNo }) => segNo)
  expect(numbersAt(first?.lastLsn ?? 0)).toEqual([])
  expect(numbersAt((first?.lastLsn ?? 0) + 1)).toEqual([1])
  expect(numbersAt(second?.lastLsn ?? 0)).toEqual([1])
  expect(numbersAt((second?.lastLsn ?? 0) + 1)).toEqual([1, 2])
})
