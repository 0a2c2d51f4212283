import { describe, expect, test } from 'vitest'
import { inspectJournal, verifyJournal, verifyRunningJournal } from '../../../src/journal/inspect.ts'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { crc32 } from '../../../src/kernel/checksum.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld } from './journal-world.ts'

async function twoSegments(): Promise<{ world: JournalWorld; names: string[] }> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  for (let i = 0; i < 12; i++) append(journal, 2, 100_000)
  flush(world, journal)
  append(journal, 1, 64)
  flush(world, journal)
  world.storage.kill()
  return { world, names: segmentsOf(world.storage.list()).map(({ name }) => name) }
}

describe('inspecting a journal', () => {
  test('shows each segment before its frames, in the order of the bytes', async () => {
    const { world, names } = await twoSegments()
    const rows = [...inspectJournal(world.storage)]
    expect(rows.flatMap((row) => (row.kind === 'segment' ? [row.segment] : []))).toEqual(names)
    expect(rows[0]).toMatchObject({ kind: 'segment', header: { segNo: 1, baseLsn: 1, timeline: 1 } })
    expect(rows[1]).toMatchObject({
      kind: 'frame',
      offset: 4096,
      header: { firstLsn: 1, entryCount: 2, payloadBytes: 100_000 },
    })
    const second = rows.findIndex((row) => row.kind === 'segment' && row.segment === names[1])
    expect(rows[second - 1]).toMatchObject({ kind: 'frame', segment: names[0], header: { entryCount: 0, flags: 2 } })
    expect(rows[second + 1]).toMatchObject({ kind: 'frame', segment: names[1], header: { firstLsn: 21 } })
  })

  test('shows a segment without frames too', async () => {
    const world = new JournalWorld()
    await world.open()
    expect([...inspectJournal(world.storage)]).toMatchObject([{ kind: 'segment', header: { segNo: 1 } }])
  })

  test('changes nothing', async () => {
    const { world } = await twoSegments()
    world.fault = ({ kind }) => {
      expect(kind).toBe('read')
      return null
    }
    expect(verifyJournal(world.storage).status).toBe('ok')
  })
})

describe('verifying a journal', () => {
  test.each([
    ['a block of no bytes', 68, 0],
    ['a block that is no power of two', 68, 4097],
    ['a block that is too large', 68, 131_072],
    ['a segment of no bytes', 88, 0],
    ['a segment that is no multiple of its blocks', 88, (1 << 20) + 1],
    ['another length of its header', 12, 8192],
  ])('calls a header damaged that says %s, although its CRC holds', async (_what, offset, value) => {
    const { world, names } = await twoSegments()
    const bytes = world.storage.readWhole(names[0] as string) as Buffer
    bytes.writeUInt32LE(value, offset)
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 4092)), 4092)
    world.storage.replace(names[0] as string, bytes)
    expect(verifyJournal(world.storage)).toMatchObject({ status: 'corrupt', rule: 'R6', place: { offset: 0 } })
  })

  test('counts what is sound', async () => {
    const { world } = await twoSegments()
    expect(verifyJournal(world.storage)).toEqual({
      status: 'ok',
      rule: 'R8',
      place: null,
      segments: 2,
      frames: 14,
      bytes: 12 * 100_000 + 64,
      firstLsn: 1,
      lastLsn: 25,
      floorLsn: 24,
    })
  })

  test('calls an empty directory an empty journal', () => {
    const storage = new MemoryStorage({ scheduler: new JournalWorld().scheduler })
    expect(verifyJournal(storage)).toMatchObject({ status: 'ok', segments: 0, lastLsn: 0 })
  })

  test('calls an end that was never flushed torn', async () => {
    const { world, names } = await twoSegments()
    const last = names[1] ?? ''
    const end = 4096 + Math.ceil((2 * (100_000 + 120)) / 4096) * 4096
    world.storage.flipBit(last, (end + 100) * 8)
    expect(verifyJournal(world.storage)).toMatchObject({ status: 'torn', rule: 'R5', lastLsn: 24 })
    expect(verifyJournal(world.storage).place).toMatchObject({ segment: last, lsn: 25 })
  })

  test('calls damage corrupt and says where', async () => {
    const { world, names } = await twoSegments()
    world.storage.flipBit(names[0] ?? '', (4096 + 100_120 + 500) * 8)
    expect(verifyJournal(world.storage)).toMatchObject({
      status: 'corrupt',
      rule: 'R6',
      place: { segment: names[0], offset: 4096 + 100_120, lsn: 3, reason: expect.stringContaining('damaged') },
    })
  })

  test('finds what a CRC cannot', async () => {
    const { world, names } = await twoSegments()
    // two frames exchange their digests: every checksum of a part still holds
    const name = names[0] ?? ''
    const bytes = world.storage.readWhole(name) ?? Buffer.alloc(0)
    const first = 4096 + 100_120 - 16
    const second = first + 100_120
    const digest = Buffer.from(bytes.subarray(first, first + 16))
    bytes.copy(bytes, first, second, second + 16)
    digest.copy(bytes, second)
    world.storage.replace(name, bytes)
    expect(verifyJournal(world.storage)).toMatchObject({ status: 'corrupt', place: { lsn: 1 } })
  })

  test('misses what a known LSN says must be there', async () => {
    const { world } = await twoSegments()
    expect(verifyJournal(world.storage, lsn(25)).status).toBe('ok')
    expect(verifyJournal(world.storage, lsn(26))).toMatchObject({ status: 'corrupt', rule: 'R7', place: { lsn: 26 } })
  })

  test('works on some segments alone, as in an archive', async () => {
    const { world, names } = await twoSegments()
    world.storage.remove(names[0] ?? '')
    expect(verifyJournal(world.storage)).toMatchObject({ status: 'ok', firstLsn: 21, lastLsn: 25 })
  })
})

describe('verifying the journal of a running database', () => {
  test('checks what is flushed and does not look behind it', async () => {
    const { world, names } = await twoSegments()
    const last = names[1] ?? ''
    const behind = 4096 + Math.ceil((2 * (100_000 + 120)) / 4096) * 4096
    world.storage.flipBit(last, (behind + 100) * 8)
    expect(verifyRunningJournal(world.storage, lsn(24))).toEqual({
      status: 'ok',
      rule: 'R8',
      place: null,
      segments: 2,
      frames: 12,
      bytes: 12 * 100_000,
      firstLsn: 1,
      lastLsn: 24,
      floorLsn: 24,
    })
  })

  test('finds in it what a CRC cannot, and says where', async () => {
    const { world, names } = await twoSegments()
    const name = names[0] ?? ''
    const bytes = world.storage.readWhole(name) ?? Buffer.alloc(0)
    const first = 4096 + 100_120 - 16
    bytes.copy(bytes, first, first + 100_120, first + 100_120 + 16)
    world.storage.replace(name, bytes)
    expect(verifyRunningJournal(world.storage, lsn(24))).toMatchObject({
      status: 'corrupt',
      place: { segment: name, offset: 4096, lsn: 1, reason: expect.stringContaining('damaged') },
    })
  })

  test('leaves out a segment that is removed meanwhile', async () => {
    const { world, names } = await twoSegments()
    const { storage } = world
    const list = storage.list.bind(storage)
    let looks = 0
    storage.list = () => {
      if (++looks === 2) storage.remove(names[0] ?? '')
      return list()
    }
    expect(verifyRunningJournal(storage, lsn(24))).toMatchObject({ status: 'ok', firstLsn: 21, lastLsn: 24, frames: 2 })
  })
})
