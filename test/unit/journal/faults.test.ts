import { describe, expect, test } from 'vitest'
import { JournalReader } from '../../../src/journal/reader.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { PowerLoss, type StorageOperation } from '../../../src/journal/storage-faults.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, codeOf, flush, JournalWorld, type Opened } from './journal-world.ts'

const firstSegment = '0000000001-0000000000000001.segment'

/** A journal with frames of one entry, each flushed; then the process is killed. Frame n begins at n * 4096. */
async function written(frames: number): Promise<JournalWorld> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  for (let i = 0; i < frames; i++) {
    append(journal, 1, 400)
    flush(world, journal)
  }
  world.storage.kill()
  return world
}

/** Changes bytes on the medium. */
function plant(world: JournalWorld, name: string, bytes: Buffer, offset: number): void {
  const whole = world.storage.readWhole(name) ?? Buffer.alloc(0)
  bytes.copy(whole, offset)
  world.storage.replace(name, whole)
}

function bytesAt(world: JournalWorld, name: string, offset: number, length: number): Buffer {
  return world.storage.readWhole(name)?.subarray(offset, offset + length) ?? Buffer.alloc(0)
}

async function refused(
  world: JournalWorld,
  changes: Parameters<JournalWorld['open']>[0] = {},
): Promise<CommanderError> {
  const before = world.storage.clone()
  let error: CommanderError | null = null
  await world.open(changes).catch((caught: CommanderError) => {
    error = caught
  })
  if (error === null) expect.fail('the journal was opened')
  // a refusal changes nothing: what is there is evidence
  expect(world.storage.list()).toEqual(before.list())
  for (const name of before.list())
    expect(world.storage.readWhole(name)?.equals(before.readWhole(name) as Buffer)).toBe(true)
  return error
}

async function reopened(world: JournalWorld): Promise<Opened> {
  world.storage.kill()
  return world.open()
}

describe('a torn write', () => {
  test('at the end is cut off, kept aside, zeroed, and the journal goes on (R5)', async () => {
    const world = await written(3)
    plant(world, firstSegment, Buffer.alloc(200), 3 * 4096 + 300)
    const torn = bytesAt(world, firstSegment, 3 * 4096, 300)
    const { journal, report, batches } = await world.open()
    expect(report).toMatchObject({ rule: 'R5', action: 'truncate', recoveredLsn: 2, floorLsn: 1 })
    expect(batches).toHaveLength(2)
    const [aside = ''] = report.keptAside
    expect(aside).toBe(`torn-0000000001-0000000000000001-${2 * 4096 + 520}-${world.wallMs}.bin`)
    expect(world.storage.readWhole(aside)?.includes(torn)).toBe(true)
    const kept = world.storage.readWhole(aside)?.length ?? 0
    expect(world.storage.peek(aside, 0, kept, 'medium').includes(torn)).toBe(true)
    expect(bytesAt(world, firstSegment, 3 * 4096, 4096).equals(Buffer.alloc(4096))).toBe(true)
    append(journal, 1, 16)
    expect((await reopened(world)).report).toMatchObject({ rule: 'R8', recoveredLsn: 3 })
  })

  test('in front of a later frame of the same flush is cut off with it', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    append(journal, 1, 400)
    flush(world, journal)
    append(journal, 1, 4000)
    append(journal, 1, 4000)
    world.storage.kill()
    plant(world, firstSegment, Buffer.alloc(512), 8192 + 1024)
    const { report } = await world.open()
    expect(report).toMatchObject({ rule: 'R5', recoveredLsn: 1 })
    expect((await reopened(world)).report).toMatchObject({ rule: 'R8', recoveredLsn: 1 })
  })

  test('of a segment header takes the segment away', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    while (segmentsOf(world.storage.list()).length < 2) append(journal, 1, 100_000)
    const [, { name, baseLsn } = { name: '', baseLsn: lsn(0) }] = segmentsOf(world.storage.list())
    world.storage.kill()
    plant(world, name, Buffer.alloc(512), 0)
    const { report, journal: again } = await world.open()
    expect(report).toMatchObject({ rule: 'R5', recoveredLsn: baseLsn - 1 })
    append(again, 1, 64)
    expect((await reopened(world)).report).toMatchObject({ rule: 'R8', recoveredLsn: baseLsn })
  })

  test('copies are kept up to a bound', async () => {
    const world = await written(1)
    for (let i = 0; i < 25; i++) {
      plant(world, firstSegment, Buffer.from('torn'), 20_000)
      world.wallMs++
      await world.open()
      world.storage.kill()
    }
    const copies = world.storage.list().filter((name) => name.startsWith('torn-'))
    expect(copies).toHaveLength(17)
    expect(copies.at(-1)).toContain(`${world.wallMs}`)
  })
})

describe('recovery that is itself cut short', () => {
  test.each([
    ['a frame', 0, 8192 + 2048, 1],
    ['a segment header', 1, 0, 11],
  ])('comes to the same decision again, with %s and whole segments to cut off', async (_what, index, at, kept) => {
    for (let operations = 0; operations < 36; operations++) {
      const world = new JournalWorld(undefined, operations + 1)
      const { journal } = await world.open()
      append(journal, 1, 400)
      flush(world, journal)
      while (segmentsOf(world.storage.list()).length < 4) append(journal, 1, 100_000)
      world.storage.kill()
      plant(world, segmentsOf(world.storage.list())[index]?.name ?? '', Buffer.alloc(512), at)
      let left = operations
      world.fault = ({ kind }) => (kind !== 'read' && left-- === 0 ? 'crashAfter' : null)
      await world.open().catch((error) => expect(error).toBeInstanceOf(PowerLoss))
      world.fault = () => null
      world.storage.kill()
      expect((await world.open()).report).toMatchObject({ recoveredLsn: kept, timeline: 1 })
    }
  })

  test('flushes the seal in front of the first segment that it reads', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = new JournalWorld(undefined, seed)
      const { journal } = await world.open()
      for (let i = 0; i < 10; i++) append(journal, 1, 100_000)
      flush(world, journal)
      append(journal, 1, 100_000)
      world.storage.kill()
      const { journal: second } = await world.open({ replayFrom: lsn(11) })
      append(second, 1, 64)
      flush(world, second)
      append(second, 1, 64)
      flush(world, second)
      world.storage.crash(world.random)
      expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 13 })
    }
  })
})

describe('a frame of another history', () => {
  test('is corruption although everything in it holds', async () => {
    // the same salt, LSNs and places, another first frame
    const world = new JournalWorld()
    const other = new JournalWorld()
    for (const { opened, first } of [
      { opened: await world.open(), first: 400 },
      { opened: await other.open(), first: 408 },
    ]) {
      const itsWorld = first === 400 ? world : other
      append(opened.journal, 1, first)
      flush(itsWorld, opened.journal)
      append(opened.journal, 1, 400)
      flush(itsWorld, opened.journal)
    }
    expect(() => new JournalReader(world.storage, lsn(1)).read(1 << 20, lsn(2))).not.toThrow()
    world.storage.kill()
    plant(world, firstSegment, bytesAt(other, firstSegment, 8192, 4096), 8192)
    const error = await refused(world)
    expect(error).toMatchObject({ code: 'journal_corrupt', details: { lsn: 2, offset: 8192, rule: 'R6' } })
    expect(error.message).toContain('does not follow the one before it')
    expect(() => new JournalReader(world.storage, lsn(1)).read(1 << 20, lsn(2))).toThrowError(
      expect.objectContaining({ code: 'journal_corrupt' }),
    )
  })
})

describe('bit rot', () => {
  test('in the middle stops the database and says where (R6)', async () => {
    const world = await written(5)
    world.storage.flipBit(firstSegment, (2 * 4096 + 200) * 8)
    const error = await refused(world)
    expect(error).toMatchObject({
      code: 'journal_corrupt',
      retryable: false,
      details: { segment: firstSegment, offset: 8192, lsn: 2, rule: 'R6', floorLsn: 4 },
    })
    expect(error.message).toMatch(/damaged in segment .* at byte 8192, where LSN 2 should be: .*--accept-loss/)
  })

  test('in frames that were never flushed, before others, is not taken for torn', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 3; i++) append(journal, 1, 400)
    world.storage.kill()
    world.storage.flipBit(firstSegment, (4096 + 520 + 200) * 8)
    expect(await refused(world)).toMatchObject({ details: { lsn: 2, rule: 'R6', floorLsn: 0 } })
  })

  test('in the last frame stops the database when the store had applied it', async () => {
    const world = await written(3)
    world.storage.flipBit(firstSegment, (3 * 4096 + 200) * 8)
    expect(await refused(world, { floorLsn: lsn(3) })).toMatchObject({ details: { lsn: 3, rule: 'R6' } })
  })

  test('in the last frame stops the database after a clean stop', async () => {
    const world = await written(2)
    const { journal } = await world.open()
    append(journal, 1, 400)
    expect(await world.close(journal)).toBeNull()
    world.storage.flipBit(firstSegment, (3 * 4096 + 200) * 8)
    expect(await refused(world)).toMatchObject({ details: { lsn: 3, rule: 'R6', floorLsn: 3 } })
  })

  test('in the mark of a clean stop is no obstacle', async () => {
    const world = await written(2)
    await world.close((await world.open()).journal)
    world.storage.flipBit('clean-stop', 200)
    expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 2, floorLsn: 1 })
  })
})

describe('a lost write', () => {
  test('in the middle is corruption', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 1; i <= 4; i++) {
      world.fault = ({ kind }) => (kind === 'write' && i === 2 ? 'lost' : null)
      append(journal, 1, 400)
      flush(world, journal)
    }
    world.fault = () => null
    world.storage.kill()
    expect(await refused(world)).toMatchObject({
      code: 'journal_corrupt',
      details: { lsn: 2, offset: 4096 + 520, rule: 'R6' },
    })
  })

  test('at the end is missed when something outside has seen it (R7)', async () => {
    const world = await written(2)
    plant(world, firstSegment, Buffer.alloc(4096), 8192)
    const error = await refused(world, { floorLsn: lsn(2) })
    expect(error).toMatchObject({ code: 'journal_corrupt', details: { lsn: 2, rule: 'R7', floorLsn: 2 } })
    expect(error.message).toContain('ends at LSN 1, but entries up to LSN 2 had been flushed')
  })

  test('at the end is missed by whoever wants to replay from behind it', async () => {
    const world = await written(2)
    expect(await refused(world, { replayFrom: lsn(8) })).toMatchObject({ details: { rule: 'R7', floorLsn: 7 } })
  })
})

describe('a misdirected write', () => {
  test('is corruption, at the end too', async () => {
    for (const at of [2, 4, 5]) {
      const world = await written(4)
      plant(world, firstSegment, bytesAt(world, firstSegment, 3 * 4096, 520), at * 4096)
      const error = await refused(world)
      expect(error).toMatchObject({ code: 'journal_corrupt', details: { lsn: at, offset: at * 4096, rule: 'R6' } })
      expect(error.message).toContain('written for another place')
    }
  })

  test('of another segment is corruption', async () => {
    const world = await written(2)
    const other = await written(4)
    // the same place in another file: only the salt tells
    const elsewhere = new JournalWorld(undefined, 99)
    const { journal } = await elsewhere.open()
    for (let i = 0; i < 3; i++) {
      append(journal, 1, 400)
      flush(elsewhere, journal)
    }
    expect(other.storage.list()).toContain(firstSegment)
    plant(world, firstSegment, bytesAt(elsewhere, firstSegment, 3 * 4096, 520), 3 * 4096)
    expect(await refused(world)).toMatchObject({ details: { lsn: 3, rule: 'R6' } })
  })
})

describe('EIO', () => {
  test('from a write closes the journal for writing', async () => {
    const world = await written(1)
    const { journal } = await world.open()
    world.fault = ({ kind }) => (kind === 'write' ? 'eio' : null)
    expect(codeOf(() => append(journal))).toBe('journal_failed')
    world.fault = () => null
    expect(journal).toMatchObject({ writtenLsn: 1, failed: { code: 'journal_failed' } })
    expect(codeOf(() => append(journal))).toBe('journal_failed')
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 1, error: { code: 'journal_failed' } })
    expect((await reopened(world)).report).toMatchObject({ recoveredLsn: 1 })
  })

  test('from a flush is never answered by another flush', async () => {
    const world = await written(1)
    const { journal } = await world.open()
    append(journal)
    let flushes = 0
    world.fault = ({ kind }) => {
      if (kind !== 'flush') return null
      flushes++
      return 'eio'
    }
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 1, error: { code: 'journal_failed' } })
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 1, error: { code: 'journal_failed' } })
    expect(codeOf(() => append(journal))).toBe('journal_failed')
    expect(await world.close(journal)).toMatchObject({ code: 'journal_failed' })
    expect(flushes).toBe(1)
    expect(world.storage.list()).not.toContain('clean-stop')
  })

  test('from the flush of a sealed segment is never answered by another flush of it', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    const flushes: string[] = []
    while (segmentsOf(world.storage.list()).length < 2) append(journal, 1, 100_000)
    world.fault = ({ kind, name }) => {
      if (kind !== 'flush') return null
      flushes.push(name)
      return flushes.length === 1 ? 'eio' : null
    }
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 0, error: { code: 'journal_failed' } })
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 0, error: { code: 'journal_failed' } })
    expect(await world.close(journal)).toMatchObject({ code: 'journal_failed' })
    expect(flushes).toEqual([firstSegment])
    expect(world.storage.list()).not.toContain('clean-stop')
  })

  test('is survived by what the next process reads from the medium, written again before it is flushed (R8)', async () => {
    const world = await written(1)
    const { journal } = await world.open()
    append(journal, 1, 400)
    world.storage.kill()
    const operations: StorageOperation[] = []
    world.fault = (operation) => {
      operations.push(operation)
      return null
    }
    const { report } = await world.open()
    expect(report).toMatchObject({ rule: 'R8', recoveredLsn: 2, floorLsn: 1 })
    const changes = operations.filter(({ kind, name }) => name === firstSegment && kind !== 'read')
    expect(changes).toEqual([
      { kind: 'write', name: firstSegment, position: 8192, bytes: 520 },
      { kind: 'flush', name: firstSegment },
    ])
  })

  test('is survived by the header of a segment that holds no frame yet, whatever an operator has given up', async () => {
    const world = new JournalWorld()
    world.fault = ({ kind }) => (kind === 'flush' ? 'eio' : null)
    await expect(world.open()).rejects.toMatchObject({ code: 'journal_failed' })
    world.fault = () => null
    world.storage.kill()
    const { journal, report } = await world.open({ floorLsn: lsn(7), acceptLoss: true })
    expect(report).toMatchObject({ action: 'giveUp', recoveredLsn: 0 })
    append(journal)
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 1, error: null })
    world.storage.crash(world.random)
    expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 1 })
  })

  test('is survived by the header of a segment that holds no frame yet', async () => {
    const world = new JournalWorld()
    world.fault = ({ kind }) => (kind === 'flush' ? 'eio' : null)
    await expect(world.open()).rejects.toMatchObject({ code: 'journal_failed' })
    world.fault = () => null
    world.storage.kill()
    const { journal } = await world.open()
    append(journal)
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 1, error: null })
    world.storage.crash(world.random)
    expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: 1 })
  })

  test('from the flush of recovery keeps the journal closed', async () => {
    const world = await written(2)
    world.fault = ({ kind }) => (kind === 'flush' ? 'eio' : null)
    await expect(world.open()).rejects.toMatchObject({ code: 'journal_failed' })
  })
})

describe('a full disk', () => {
  test('at a change of segments leaves nobody to take the place of the spare that was begun with', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    for (let i = 0; i < 12; i++) append(journal, 1, 100_000)
    flush(world, journal)
    world.scheduler.runDue()
    world.fault = ({ kind }) => (kind === 'write' ? 'enospc' : null)
    expect(codeOf(() => journal.switchSegment())).toBe('journal_full')
    world.fault = () => null
    // A stale segment would become the spare, if there were none.
    expect(journal.removeBefore(journal.writtenLsn)).toBe(1)
    world.scheduler.runDue()
    journal.switchSegment()
    append(journal)
    expect(flush(world, journal)).toMatchObject({ flushedLsn: 13, error: null })
    world.storage.crash(world.random)
    expect((await world.open({ replayFrom: journal.firstLsn })).report).toMatchObject({ rule: 'R8', recoveredLsn: 13 })
  })

  test.each(['enospc', 'short'] as const)(
    '(%s) refuses an append and takes it when there is room again',
    async (fault) => {
      const world = await written(1)
      const { journal } = await world.open()
      world.fault = ({ kind }) => (kind === 'write' ? fault : null)
      const digest = journal.lastDigest
      expect(codeOf(() => append(journal, 2, 4000))).toBe('journal_full')
      expect(journal).toMatchObject({ writtenLsn: 1, failed: null, writtenBytes: 0, lastDigest: digest })
      world.fault = () => null
      append(journal, 1, 40)
      append(journal, 1, 400)
      expect(flush(world, journal)).toEqual({ flushedLsn: 3, error: null })
      append(journal, 1, 400)
      expect((await reopened(world)).report).toMatchObject({ rule: 'R8', recoveredLsn: 4 })
    },
  )

  test('leaves the reserve of the last segment to those who ask for it', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    world.scheduler.runDue()
    world.storage.freeBytes = 0
    // the spare becomes the second segment, and no third can be made
    while (segmentsOf(world.storage.list()).length < 2) append(journal, 1, 50_000)
    world.scheduler.runDue()
    let refusedAt = 0
    for (let i = 0; i < 30 && refusedAt === 0; i++) {
      if (codeOf(() => append(journal, 1, 50_000)) === 'journal_full') refusedAt = journal.writtenLsn
    }
    expect(refusedAt).toBeGreaterThan(20)
    expect(journal.failed).toBeNull()
    journal.append(Buffer.alloc(4000, 7), lsn(refusedAt + 1), 1, journal.flushedLsn, true)
    expect(flush(world, journal)).toEqual({ flushedLsn: refusedAt + 1, error: null })
    expect(codeOf(() => append(journal, 1, 50_000))).toBe('journal_full')

    world.storage.freeBytes = 10 << 20
    world.scheduler.advance(1000)
    append(journal, 1, 50_000)
    append(journal, 1, 50_000)
    expect(await world.close(journal)).toBeNull()
    expect((await world.open()).report).toMatchObject({ rule: 'R8', recoveredLsn: refusedAt + 3 })
  })

  test('has room again once stale segments are removed', async () => {
    const world = new JournalWorld()
    const { journal } = await world.open()
    world.scheduler.runDue()
    world.storage.freeBytes = 0
    for (let i = 0; i < 60; i++) codeOf(() => append(journal, 1, 50_000))
    world.scheduler.runDue()
    flush(world, journal)
    expect(codeOf(() => append(journal, 1, 50_000))).toBe('journal_full')
    expect(journal.removeBefore(journal.flushedLsn)).toBeGreaterThan(0)
    world.scheduler.runDue()
    append(journal, 1, 50_000)
    expect(journal.failed).toBeNull()
  })
})

describe('a disk without room for the first segment', () => {
  test('keeps the journal closed, and nothing running, until there is room', async () => {
    const world = new JournalWorld()
    world.storage.freeBytes = 1000
    await expect(world.open()).rejects.toMatchObject({ code: 'journal_full', retryable: true })
    world.scheduler.advance(60_000)
    expect(world.storage.list()).toEqual(['clean-stop'])
    world.storage.freeBytes = 10 << 20
    expect((await world.open()).journal.writtenLsn).toBe(0)
  })
})

describe('a crash around a rename', () => {
  test.each([
    ['before', 'crash'],
    ['after', 'crashAfter'],
  ] as const)('(%s it) loses nothing that was flushed', async (_when, fault) => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = new JournalWorld(undefined, seed)
      const { journal } = await world.open()
      for (let i = 0; i < 10; i++) append(journal, 1, 100_000)
      flush(world, journal)
      world.fault = ({ kind }) => (kind === 'rename' ? fault : null)
      expect(() => append(journal, 1, 100_000)).toThrow(PowerLoss)
      world.fault = () => null
      world.storage.crash(world.random)
      const { report, journal: again } = await world.open()
      expect(report).toMatchObject({ recoveredLsn: 10 })
      append(again, 1, 100_000)
      expect((await reopened(world)).report).toMatchObject({ recoveredLsn: 11 })
    }
  })

  test('of a process, before the name is durable, loses nothing that its successor flushes under that name', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = new JournalWorld(undefined, seed)
      const { journal } = await world.open()
      world.scheduler.runDue()
      for (let i = 0; i < 10; i++) append(journal, 1, 100_000)
      flush(world, journal)
      world.fault = ({ kind }) => (kind === 'flushNames' ? 'crash' : null)
      expect(() => append(journal, 1, 100_000)).toThrow(PowerLoss)
      // no new spare, whose name would be made durable and the other one with it
      world.fault = ({ kind }) => (kind === 'create' ? 'enospc' : null)
      world.storage.kill()
      const { report, journal: successor } = await world.open()
      expect(report.recoveredLsn).toBe(10)
      append(successor, 1, 100_000)
      flush(world, successor)
      world.fault = () => null
      world.storage.crash(world.random)
      expect((await world.open()).report).toMatchObject({ recoveredLsn: 11 })
    }
  })

  test('leaves unfinished files, which are removed', async () => {
    const world = await written(2)
    world.storage.replace('spare.segment.tmp', Buffer.alloc(10))
    world.storage.replace('next.segment', Buffer.alloc(10))
    world.storage.replace('clean-stop.tmp', Buffer.alloc(10))
    await world.open()
    expect(world.storage.list()).not.toContain('next.segment')
    expect(world.storage.list()).not.toContain('clean-stop.tmp')
  })

  test('leaves no spare that had begun to become a segment', async () => {
    const world = await written(2)
    world.scheduler.runDue()
    world.storage.replace('spare.segment', Buffer.alloc(1 << 20, 1))
    const { journal } = await world.open()
    while (segmentsOf(world.storage.list()).length < 2) append(journal, 1, 100_000)
    expect((await reopened(world)).report).toMatchObject({ rule: 'R8', recoveredLsn: journal.writtenLsn })
  })
})

describe('a directory', () => {
  test('of another database is refused and left alone', async () => {
    const world = await written(2)
    world.storage.replace('somebody.tmp', Buffer.from('x'))
    for (const changes of [{ journalId: Buffer.alloc(16, 9) }, { serverId: Buffer.alloc(16, 9) }])
      expect(await refused(world, { ...changes, acceptLoss: true })).toMatchObject({ code: 'foreign_database' })
  })

  test('that was wiped is refused', async () => {
    const world = new JournalWorld()
    expect(await refused(world, { floorLsn: lsn(5) })).toMatchObject({ details: { rule: 'R7', floorLsn: 5, lsn: 1 } })
  })

  test('of a newer format is refused', async () => {
    const world = await written(2)
    const { crc32 } = await import('../../../src/kernel/checksum.ts')
    const header = bytesAt(world, firstSegment, 0, 4096)
    header.writeUInt32LE(2, 8)
    header.writeUInt32LE(crc32(header.subarray(0, 4092)), 4092)
    plant(world, firstSegment, header, 0)
    expect(await refused(world, { acceptLoss: true })).toMatchObject({ code: 'unsupported_version' })
  })
})
