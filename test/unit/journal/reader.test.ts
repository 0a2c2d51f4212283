import { describe, expect, test } from 'vitest'
import { faultText } from '../../../src/journal/fault-text.ts'
import { JournalReader } from '../../../src/journal/reader.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { crc32, digest16 } from '../../../src/kernel/checksum.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { writeUint64 } from '../../../src/kernel/integers.ts'
import { append, flush, JournalWorld, payloadOf } from './journal-world.ts'

const noLimit = 1 << 30

function read(reader: JournalReader, until: number, maxBytes = noLimit): number[] {
  return reader.read(maxBytes, lsn(until)).map(({ firstLsn }) => firstLsn)
}

describe('a reader beside the writer', () => {
  test('gets every frame once, in order, as it was appended', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const reader = new JournalReader(world.storage, lsn(1))
    const seen: number[] = []
    for (let round = 0; round < 60; round++) {
      append(journal, 1 + (round % 3), 8 * (1 + ((round * 977) % 9000)))
      if (round % 4 === 0) flush(world, journal)
      for (const { firstLsn, entryCount, payload } of reader.read(noLimit, journal.writtenLsn)) {
        expect(payload.equals(payloadOf(firstLsn, payload.length))).toBe(true)
        for (let i = 0; i < entryCount; i++) seen.push(firstLsn + i)
      }
      expect(seen.length).toBe(journal.writtenLsn)
    }
    expect(seen).toEqual(seen.map((_, index) => index + 1))
    expect(segmentsOf(world.storage.list()).length).toBeGreaterThan(1)
  })

  test('stops at the LSN that it may see, even in front of a frame that goes beyond', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 3; i++) append(journal, 2)
    const reader = new JournalReader(world.storage, lsn(1))
    expect(read(reader, 0)).toEqual([])
    expect(read(reader, 3)).toEqual([1])
    expect(read(reader, 3)).toEqual([])
    expect(read(reader, 4)).toEqual([3])
    expect(read(reader, 6)).toEqual([5])
    expect(read(reader, 6)).toEqual([])
  })

  test('gives about as many bytes as asked for, at least one frame', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 10; i++) append(journal, 1, 10_000)
    const reader = new JournalReader(world.storage, lsn(1))
    expect(read(reader, 10, 1)).toEqual([1])
    expect(read(reader, 10, 25_000)).toEqual([2, 3, 4])
    expect(read(reader, 10)).toEqual([5, 6, 7, 8, 9, 10])
  })

  test('starts in the middle, in any segment, with the frame that holds the LSN', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 30; i++) append(journal, 2, 100_000)
    for (const from of [1, 2, 19, 20, 21, 22, 41, 60]) {
      const reader = new JournalReader(world.storage, lsn(from))
      const [first] = read(reader, 60, 1)
      expect(first).toBe(from - ((from + 1) % 2))
      reader.close()
    }
  })

  test('waits where nothing is written yet', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const reader = new JournalReader(world.storage, lsn(3))
    expect(read(reader, 0)).toEqual([])
    append(journal, 2)
    expect(read(reader, 2)).toEqual([])
    append(journal, 1)
    expect(read(reader, 3)).toEqual([3])
  })

  test('sees what the writer wrote into a place that was read ahead', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal)
    const reader = new JournalReader(world.storage, lsn(1))
    expect(read(reader, 1)).toEqual([1])
    append(journal)
    flush(world, journal)
    append(journal)
    expect(read(reader, 3)).toEqual([2, 3])
  })

  test('passes the digest of every frame on', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal)
    append(journal)
    const batches = new JournalReader(world.storage, lsn(1)).read(noLimit, lsn(2))
    expect(batches.at(-1)?.digest.equals(journal.lastDigest)).toBe(true)
  })
})

describe('a reader of removed segments', () => {
  test('is told the oldest entry that is left', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 30; i++) append(journal, 1, 100_000)
    flush(world, journal)
    journal.removeBefore(lsn(25))
    const reader = new JournalReader(world.storage, lsn(3))
    expect(() => read(reader, 30)).toThrowError(
      expect.objectContaining({ code: 'not_found', details: { firstLsn: 21 } }),
    )
    expect(read(new JournalReader(world.storage, lsn(21)), 30)).toHaveLength(10)
  })

  test('is told so in the middle of a segment that became another one', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 15; i++) append(journal, 1, 100_000)
    flush(world, journal)
    const reader = new JournalReader(world.storage, lsn(1))
    expect(read(reader, 15, 1)).toEqual([1])
    // the spare is used up and the stale segment takes its place
    world.scheduler.runDue()
    for (let i = 0; i < 10; i++) append(journal, 1, 100_000)
    world.fault = ({ kind, name }) => (kind === 'create' && name === 'spare.segment' ? 'enospc' : null)
    world.scheduler.runDue()
    for (let i = 0; i < 10; i++) append(journal, 1, 100_000)
    world.fault = () => null
    flush(world, journal)
    journal.removeBefore(lsn(11))
    expect(() => {
      for (let i = 0; i < 15; i++) read(reader, 15, 1)
    }).toThrowError(expect.objectContaining({ code: 'not_found', details: { firstLsn: 11 } }))
  })
})

describe('a reader of a damaged journal', () => {
  test('says where, and never that there is no such entry', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 3; i++) append(journal, 1, 400)
    const [{ name } = { name: '' }] = segmentsOf(world.storage.list())
    world.storage.flipBit(name, (4096 + 520 + 200) * 8)
    const reader = new JournalReader(world.storage, lsn(1))
    expect(read(reader, 1)).toEqual([1])
    expect(() => read(reader, 3)).toThrowError(
      expect.objectContaining({
        code: 'journal_corrupt',
        details: { segment: name, offset: 4096 + 520, lsn: 2, rule: 'R6', reason: expect.any(String) },
      }),
    )
  })

  test('says so when a bit of a frame header is another one, whichever of its fields that is in', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 2; i++) append(journal, 1, 400)
    const [{ name } = { name: '' }] = segmentsOf(world.storage.list())
    for (let byte = 0; byte < 104; byte++) {
      world.storage.flipBit(name, (4096 + byte) * 8)
      const reader = new JournalReader(world.storage, lsn(1))
      expect(() => read(reader, 2), `byte ${byte}`).toThrowError(expect.objectContaining({ code: 'journal_corrupt' }))
      world.storage.flipBit(name, (4096 + byte) * 8)
    }
    expect(read(new JournalReader(world.storage, lsn(1)), 2)).toEqual([1, 2])
  })

  test('says so when a segment of another history is behind one', async () => {
    const [world, other] = [new JournalWorld(), new JournalWorld(undefined, 5)]
    for (const { journal } of [await world.open(), await other.open()])
      for (let i = 0; i < 15; i++) append(journal, 1, 100_000)
    const name = segmentsOf(world.storage.list())[1]?.name ?? ''
    world.storage.replace(name, other.storage.readWhole(name) ?? Buffer.alloc(0))
    expect(read(new JournalReader(world.storage, lsn(11)), 15)).toEqual([11, 12, 13, 14, 15])
    const reader = new JournalReader(world.storage, lsn(1))
    expect(() => read(reader, 15)).toThrowError(
      expect.objectContaining({
        code: 'journal_corrupt',
        details: { segment: name, offset: 0, lsn: 11, rule: 'R6', reason: faultText.chain },
      }),
    )
  })

  test('says so when a frame that is sound and follows says another LSN than the next', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 2; i++) append(journal, 1, 400)
    const [{ name } = { name: '' }] = segmentsOf(world.storage.list())
    const bytes = world.storage.readWhole(name) ?? Buffer.alloc(0)
    const second = bytes.subarray(4096 + 520, 4096 + 520 + 520)
    writeUint64(second, 3, 16)
    second.writeUInt32LE(crc32(second.subarray(0, 100)), 100)
    digest16(second.subarray(0, 104), second.subarray(104, 504)).copy(second, 504)
    world.storage.replace(name, bytes)
    const reader = new JournalReader(world.storage, lsn(1), 'both')
    expect(read(reader, 1)).toEqual([1])
    expect(() => read(reader, 3)).toThrowError(
      expect.objectContaining({ code: 'journal_corrupt', message: expect.stringContaining(faultText.lsn) }),
    )
  })

  test('says so when a segment is missing behind it', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 30; i++) append(journal, 1, 100_000)
    world.storage.remove(segmentsOf(world.storage.list())[1]?.name ?? '')
    const reader = new JournalReader(world.storage, lsn(1))
    expect(() => read(reader, 30)).toThrowError(expect.objectContaining({ code: 'journal_corrupt' }))
  })
})
