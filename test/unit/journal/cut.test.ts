import { describe, expect, test } from 'vitest'
import { prepareCut } from '../../../src/journal/cut.ts'
import { cleanStopName, segmentsOf } from '../../../src/journal/segment-name.ts'
import { PowerLoss } from '../../../src/journal/storage-faults.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld, smallSegments } from './journal-world.ts'

/** Batches of three entries over three segments, flushed and stopped: entries 1 to 75. */
async function stopped(seed = 1): Promise<{ readonly world: JournalWorld; readonly payloads: Buffer[] }> {
  const world = new JournalWorld(smallSegments, seed)
  const { journal } = await world.open()
  const payloads: Buffer[] = []
  while (payloads.length < 25) {
    payloads.push(append(journal, 3, 100_000))
    if (payloads.length % 4 === 0) flush(world, journal)
  }
  await world.close(journal)
  expect(segmentsOf(world.storage.list())).toHaveLength(3)
  return { world, payloads }
}

const ends = [75, 72, 60, 33, 30, 27, 3]

describe('a stopped journal that is cut', () => {
  test.each(ends)('after entry %d ends there, with everything before as it was', async (after) => {
    const { world, payloads } = await stopped()
    prepareCut(world.storage, lsn(after), lsn(75))()
    world.storage.crash(world.random)
    const { journal, report, batches } = await world.open()
    expect([report.recoveredLsn, report.timeline, report.keptAside]).toEqual([after, 1, []])
    expect(batches.map(({ payload }) => payload.equals(payloads.shift() as Buffer))).toEqual(batches.map(() => true))
    append(journal, 1, 64)
    flush(world, journal)
    world.storage.crash(world.random)
    expect((await world.open()).report.recoveredLsn).toBe(after + 1)
  })

  test.each(ends)('after entry %d is sound whatever crashes meanwhile, and can be cut again', async (after) => {
    for (let operations = 0; ; operations++) {
      const { world } = await stopped(operations + 1)
      let left = operations
      world.fault = ({ kind }) => (kind !== 'read' && left-- === 0 ? 'crashAfter' : null)
      let isOver = true
      try {
        prepareCut(world.storage, lsn(after), lsn(75))()
      } catch (error) {
        expect(error).toBeInstanceOf(PowerLoss)
        isOver = false
      }
      world.fault = () => null
      world.storage.crash(world.random)
      const { journal, report } = await world.open()
      expect(report.recoveredLsn).toBeGreaterThanOrEqual(after)
      await world.close(journal)
      prepareCut(world.storage, lsn(after), report.recoveredLsn)()
      expect((await world.open()).report).toMatchObject({ recoveredLsn: after, keptAside: [] })
      if (isOver) break
    }
  })

  test('has no block written again that was flushed: what is kept of a segment takes its place as a whole', async () => {
    const { world } = await stopped()
    const seen: string[] = []
    world.fault = ({ kind, name }) => {
      seen.push(`${kind} ${segmentsOf([name]).length > 0 ? 'segment' : 'other'}`)
      return null
    }
    prepareCut(world.storage, lsn(33), lsn(75))()
    expect(seen).toContain('writeWhole other')
    expect(seen).toContain('rename other')
    expect(seen).not.toContain('write segment')
  })

  test('has no mark of a clean stop any more, which would vouch for what is gone', async () => {
    const { world } = await stopped()
    expect(world.storage.list()).toContain(cleanStopName)
    prepareCut(world.storage, lsn(33), lsn(75))()
    expect(world.storage.list()).not.toContain(cleanStopName)
  })

  test('is refused in the middle of a batch', async () => {
    const { world } = await stopped()
    expect(() => prepareCut(world.storage, lsn(32), lsn(75))()).toThrow('LSN 32 does not end a frame')
  })
})
