import { describe, expect, test } from 'vitest'
import { JournalReader } from '../../../src/journal/reader.ts'
import { readSegmentHeader } from '../../../src/journal/segment-chain.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld } from './journal-world.ts'

/** Four segments with ten entries of one frame each but the last, all flushed; then the process is killed. */
async function fourSegments(): Promise<{ world: JournalWorld; names: string[] }> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  for (let i = 0; i < 33; i++) append(journal, 1, 100_000)
  flush(world, journal)
  append(journal, 1, 64)
  flush(world, journal)
  world.storage.kill()
  const names = segmentsOf(world.storage.list()).map(({ name }) => name)
  expect(segmentsOf(world.storage.list()).map(({ baseLsn }) => baseLsn)).toEqual([1, 11, 21, 31])
  return { world, names }
}

function lsnsFrom(world: JournalWorld, from: number, until: number): number[] {
  const reader = new JournalReader(world.storage, lsn(from))
  const lsns = reader.read(100 << 20, lsn(until)).map(({ firstLsn }) => firstLsn as number)
  reader.close()
  return lsns
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('a damaged journal', () => {
  test('goes on where it is sound, on a new timeline, once the loss is accepted', async () => {
    const { world, names } = await fourSegments()
    world.storage.flipBit(names[2] ?? '', (4096 + 250_000) * 8)
    await expect(world.open()).rejects.toMatchObject({ details: { segment: names[2], lsn: 23, rule: 'R6' } })
    const { journal, report, batches } = await world.open({ acceptLoss: true })
    expect(report).toMatchObject({ rule: 'R6', action: 'giveUp', recoveredLsn: 22, timeline: 2, firstLsn: 1 })
    expect(batches.map(({ firstLsn }) => firstLsn)).toEqual(range(1, 22))
    expect(journal).toMatchObject({ timeline: 2, writtenLsn: 22, flushedLsn: 22 })
    append(journal, 1, 64)
    expect(await world.close(journal)).toBeNull()

    const again = await world.open()
    expect(again.report).toMatchObject({ rule: 'R8', recoveredLsn: 23, timeline: 2 })
    expect(again.journal.timeline).toBe(2)
    expect(lsnsFrom(world, 1, 23)).toEqual(range(1, 23))
  })

  test('keeps every byte that was given up', async () => {
    const { world, names } = await fourSegments()
    world.storage.flipBit(names[2] ?? '', (4096 + 250_000) * 8)
    const before = world.storage.clone()
    const { report } = await world.open({ acceptLoss: true })
    const [tail = '', ...others] = report.keptAside.toSorted()
    const offset = Number(/-(\d+)-\d+\.bin$/.exec(tail)?.[1])
    const was = before.readWhole(names[2] ?? '')?.subarray(offset) ?? Buffer.alloc(0)
    const kept = world.storage.readWhole(tail) ?? Buffer.alloc(0)
    expect(kept.length).toBeGreaterThan(700_000)
    expect(was.subarray(0, kept.length).equals(kept)).toBe(true)
    expect(was.subarray(kept.length).equals(Buffer.alloc(was.length - kept.length))).toBe(true)
    expect(others).toHaveLength(1)
    expect(world.storage.readWhole(others[0] ?? '')?.equals(before.readWhole(names[3] ?? '') as Buffer)).toBe(true)
  })

  test('may be opened again however often that was cut short', async () => {
    for (let operations = 0; operations < 14; operations++) {
      const { world, names } = await fourSegments()
      world.storage.flipBit(names[2] ?? '', (4096 + 250_000) * 8)
      let left = operations
      world.fault = ({ kind }) => (kind !== 'read' && left-- === 0 ? 'crashAfter' : null)
      await world.open({ acceptLoss: true }).catch(() => undefined)
      world.fault = () => null
      world.storage.crash(world.random)
      const { journal, report } = await world.open({ acceptLoss: true })
      expect(report.recoveredLsn).toBe(22)
      append(journal, 1, 64)
      expect(await world.close(journal)).toBeNull()
      expect(lsnsFrom(world, 1, 23)).toEqual(range(1, 23))
    }
  })

  test('without a segment in the middle is corrupt, and ends before the gap once that is accepted', async () => {
    const { world, names } = await fourSegments()
    world.storage.remove(names[1] ?? '')
    const refusal = expect.objectContaining({
      code: 'journal_corrupt',
      message: expect.stringContaining('segment 2 is missing'),
      details: expect.objectContaining({ lsn: 11, rule: 'R6' }),
    })
    await expect(world.open()).rejects.toEqual(refusal)
    const { report } = await world.open({ acceptLoss: true })
    expect(report).toMatchObject({ recoveredLsn: 10, timeline: 2 })
    expect(report.keptAside).toHaveLength(2)
  })

  test('with a segment in the wrong place is corrupt', async () => {
    const { world, names } = await fourSegments()
    const third = world.storage.readWhole(names[2] ?? '') ?? Buffer.alloc(0)
    world.storage.replace(names[1] ?? '', third)
    await expect(world.open()).rejects.toMatchObject({
      code: 'journal_corrupt',
      message: expect.stringContaining('its header says segment 3 from LSN 21'),
    })
  })

  test('with a segment of another journal in its middle is corrupt, not foreign', async () => {
    const { world, names } = await fourSegments()
    const foreign = new JournalWorld()
    const { journal } = await foreign.open({ serverId: Buffer.alloc(16, 0x33) })
    for (let i = 0; i < 11; i++) append(journal, 1, 100_000)
    world.storage.replace(names[1] ?? '', foreign.storage.readWhole(names[1] ?? '') ?? Buffer.alloc(0))
    await expect(world.open()).rejects.toMatchObject({
      code: 'journal_corrupt',
      message: expect.stringContaining('names another journal'),
    })
  })

  test('with another history behind a segment is corrupt', async () => {
    const { world, names } = await fourSegments()
    const other = new JournalWorld(undefined, 5)
    const { journal } = await other.open()
    for (let i = 0; i < 22; i++) append(journal, 1, 100_000)
    world.storage.replace(names[1] ?? '', other.storage.readWhole(names[1] ?? '') ?? Buffer.alloc(0))
    await expect(world.open()).rejects.toMatchObject({
      code: 'journal_corrupt',
      details: { segment: names[1], lsn: 11 },
      message: expect.stringContaining('does not follow the last frame'),
    })
  })
})

describe('a journal whose end is missing', () => {
  test('goes on at its end on a new timeline once the loss is accepted', async () => {
    const { world, names } = await fourSegments()
    world.storage.remove(names[3] ?? '')
    await expect(world.open({ floorLsn: lsn(34) })).rejects.toMatchObject({ details: { lsn: 31, rule: 'R7' } })
    const { report, journal } = await world.open({ floorLsn: lsn(34), acceptLoss: true })
    expect(report).toMatchObject({ rule: 'R7', action: 'giveUp', recoveredLsn: 30, timeline: 2, keptAside: [] })
    append(journal, 1, 64)
    expect(await world.close(journal)).toBeNull()
    expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 31 })
  })

  test('forgets the mark of a clean stop with it', async () => {
    const { world, names } = await fourSegments()
    expect(await world.close((await world.open()).journal)).toBeNull()
    world.storage.remove(names[3] ?? '')
    await expect(world.open()).rejects.toMatchObject({ details: { rule: 'R7', floorLsn: 34 } })
    const { journal } = await world.open({ acceptLoss: true })
    append(journal, 1, 64)
    flush(world, journal)
    world.storage.kill()
    expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 31 })
  })

  test('begins anew when all of it is gone', async () => {
    const world = new JournalWorld()
    const { report } = await world.open({ floorLsn: lsn(7), acceptLoss: true })
    expect(report).toMatchObject({ rule: 'R7', recoveredLsn: 0, timeline: 2 })
  })
})

describe('old segments, which replay does not need', () => {
  test('are not read but for their headers', async () => {
    const { world, names } = await fourSegments()
    world.storage.flipBit(names[0] ?? '', (4096 + 250_000) * 8)
    const { report, batches } = await world.open({ replayFrom: lsn(25) })
    expect(report).toMatchObject({ rule: 'R8', firstLsn: 1, recoveredLsn: 34 })
    expect(batches.map(({ firstLsn }) => firstLsn)).toEqual(range(25, 34))
  })

  test('stop the database when one is missing or damaged, and are set aside once that is accepted', async () => {
    for (const damage of ['missing', 'header'] as const) {
      const { world, names } = await fourSegments()
      const second = names[1] ?? ''
      if (damage === 'missing') world.storage.remove(second)
      else world.storage.flipBit(second, 100 * 8)
      await expect(world.open({ replayFrom: lsn(25) })).rejects.toMatchObject({ details: { rule: 'R6' } })
      const { report, journal } = await world.open({ replayFrom: lsn(25), acceptLoss: true })
      expect(report).toMatchObject({ rule: 'R8', firstLsn: 21, recoveredLsn: 34, timeline: 1 })
      expect(report.keptAside).toHaveLength(damage === 'missing' ? 1 : 2)
      expect(journal.firstLsn).toBe(21)
      expect(await world.close(journal)).toBeNull()
      expect((await world.open({ replayFrom: lsn(25) })).report).toMatchObject({ rule: 'R8', firstLsn: 21 })
    }
  })

  test('cannot be done without when replay needs them, whatever was accepted', async () => {
    const { world, names } = await fourSegments()
    world.storage.remove(names[0] ?? '')
    await expect(world.open({ acceptLoss: true })).rejects.toMatchObject({
      code: 'journal_corrupt',
      details: { lsn: 1, rule: 'R7' },
      message: expect.stringContaining('the oldest segment begins at LSN 11'),
    })
  })
})

describe('a journal of which nothing is left', () => {
  /** The oldest segment is gone to the archive; of the only other one the header is damaged. */
  async function onlyDamage(): Promise<{ world: JournalWorld; digest: Buffer | undefined }> {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 3; i++) append(journal)
    flush(world, journal)
    journal.switchSegment()
    append(journal)
    flush(world, journal)
    expect(journal.removeBefore(lsn(4))).toBe(1)
    world.storage.kill()
    const [name = ''] = segmentsOf(world.storage.list()).map((segment) => segment.name)
    const digest = readSegmentHeader(world.storage, name)?.prevSegDigest
    world.storage.flipBit(name, 20 * 8)
    return { world, digest }
  }

  test('goes on behind what is elsewhere: with the number, the LSN and the chain that follow it', async () => {
    const { world, digest } = await onlyDamage()
    const { report } = await world.open({ replayFrom: lsn(4), floorLsn: lsn(3), acceptLoss: true })
    expect(report).toMatchObject({ action: 'giveUp', recoveredLsn: 3, timeline: 2 })
    const segments = segmentsOf(world.storage.list())
    expect(segments).toMatchObject([{ segNo: 2, baseLsn: 4 }])
    expect(readSegmentHeader(world.storage, segments[0]?.name ?? '')?.prevSegDigest).toEqual(digest)
  })
})

describe('a segment without an entry', () => {
  test('gives its place to the one in which the journal goes on after a further loss', async () => {
    const world = new JournalWorld()
    const { journal: before } = await world.open()
    append(before)
    flush(world, before)
    world.storage.kill()
    // Twice an operator gives up what is missing, and nothing is written in between.
    for (const floorLsn of [lsn(2), lsn(3)]) {
      const { journal, report } = await world.open({ floorLsn, acceptLoss: true })
      expect(report).toMatchObject({ action: 'giveUp', recoveredLsn: 1 })
      await world.close(journal)
    }
    const { journal, report } = await world.open()
    expect(report).toMatchObject({ rule: 'R8', recoveredLsn: 1, timeline: 3 })
    expect(segmentsOf(world.storage.list())).toMatchObject([
      { segNo: 1, baseLsn: 1 },
      { segNo: 2, baseLsn: 2 },
    ])
    append(journal)
    flush(world, journal)
    expect(lsnsFrom(world, 1, 2)).toEqual([1, 2])
  })
})
