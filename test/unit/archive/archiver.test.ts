import { describe, expect, test } from 'vitest'
import { archiveNames } from '../../../src/archive/archive-target.ts'
import { archivedSegment, segmentsOfTimeline } from '../../../src/archive/archived-segments.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, journalId } from '../journal/journal-world.ts'
import { ArchiveWorld, unavailable } from './archive-world.ts'

const archivedNumbers = (world: ArchiveWorld): number[] =>
  [...world.target.objects.keys()].flatMap((name) => archivedSegment(name)?.segNo ?? [])

describe('the archiver', () => {
  test('makes the archive this database’s, and brings every sealed segment there, in order', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(3)
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => archiver.status().waitingSegments === 0)
    const identity = JSON.parse(String(world.target.objects.get(archiveNames.identity))) as object
    expect(identity).toMatchObject({ format: 1, journalId: journalId.toString('hex') })
    expect(archivedNumbers(world)).toEqual([1, 2, 3])
    expect(world.moves).toEqual(world.sealed().map(({ lastLsn }) => lastLsn))
    expect(archiver.status()).toEqual({
      location: 'memory:',
      archivedLsn: world.sealed()[2]?.lastLsn,
      waitingSegments: 0,
      waitingBytes: 0,
      failures: 0,
      error: null,
    })
  })

  test('leaves a segment alone until an entry behind its seal is flushed', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    const archiver = world.archiver()
    archiver.start()
    const behindSeal = world.sealed()[0]?.next.baseLsn ?? lsn(0)
    archiver.flushed(lsn(behindSeal - 1))
    await world.pass(10_000)
    expect(archivedNumbers(world)).toEqual([])
    expect(archiver.status()).toMatchObject({ archivedLsn: 0, waitingSegments: 1, waitingBytes: 1_048_576 })
    archiver.flushed(behindSeal)
    await world.pass(200)
    await world.until(() => archiver.archivedLsn === behindSeal - 1)
    expect(archivedNumbers(world)).toEqual([1])
    expect(journal.flushedLsn).toBeGreaterThanOrEqual(behindSeal)
  })

  test('goes on with what is sealed later', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => world.moves.length === 1)
    world.fill(journal)
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => world.moves.length === 2)
    expect(archivedNumbers(world)).toEqual([1, 2])
  })

  test('brings nothing again that it remembers, and looks at nothing of it but for names behind the journal’s end', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(2)
    const first = world.archiver()
    first.start()
    first.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => world.moves.length === 2)
    const touched: string[] = []
    world.target.fault = (operation, name) => {
      touched.push(`${operation} ${name}`)
    }
    const second = world.archiver()
    second.start()
    second.flushed(journal.flushedLsn)
    await world.pass(1000)
    expect(second.archivedLsn).toBe(world.moves[1])
    expect(touched.filter((what) => what.includes('segments/'))).toEqual(['list segments/00000001/'])
  })

  test('compares what is there already when it remembers nothing', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(2)
    for (let life = 0; life < 2; life++) {
      world.memory = null
      const archiver = world.archiver()
      archiver.start()
      archiver.flushed(journal.flushedLsn)
      await world.pass(200)
      await world.until(() => archiver.status().waitingSegments === 0)
      expect(archiver.status().error).toBe(null)
    }
    expect(archivedNumbers(world)).toEqual([1, 2])
  })

  test('keeps its hands off another segment of the same name, and holds everything behind it back', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(2)
    const other = new ArchiveWorld(world.target.objects)
    other.world.random.uint32() // another salt in every segment
    await other.filled(1)
    await other.vault.open(true)
    for (const segment of other.sealed()) await other.vault.store(segment)
    const before = new Map(world.target.objects)
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => archiver.status().failures === 1)
    expect(archiver.status()).toMatchObject({ archivedLsn: 0, waitingSegments: 2, error: { code: 'archive_conflict' } })
    expect(archiver.status().error?.message).toContain('0000000001-0000000000000001.segment.zst')
    expect(world.target.objects).toEqual(before)
  })

  test('refuses the archive of another database by name', async () => {
    const world = new ArchiveWorld()
    const foreign = { format: 1, journalId: 'ff'.repeat(16), createdAt: '2026-01-01T00:00:00.000Z' }
    await world.target.putBytes(archiveNames.identity, Buffer.from(JSON.stringify(foreign)))
    const journal = await world.filled(1)
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    expect(archiver.status()).toMatchObject({ archivedLsn: 0, error: { code: 'foreign_database' } })
    expect(archiver.status().error?.message).toContain('ff'.repeat(16))
    expect(archivedNumbers(world)).toEqual([])
  })

  test('never archives a damaged segment', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(2)
    const second = world.sealed()[1]
    const file = world.world.storage.open(second?.name ?? '')
    file.write([Buffer.from('damage')], 500_000)
    file.close()
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => archiver.status().failures > 0)
    expect(archivedNumbers(world)).toEqual([1])
    expect(archiver.status()).toMatchObject({
      archivedLsn: world.sealed()[0]?.lastLsn,
      waitingSegments: 1,
      error: { code: 'journal_corrupt' },
    })
    expect(archiver.status().error?.message).toContain(second?.name)
  })
})

describe('a failing archive', () => {
  test('is tried again, later and later, at least once a minute, and said once', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    const triesAtMs: number[] = []
    world.target.fault = () => {
      triesAtMs.push(world.world.scheduler.nowMs)
      throw unavailable()
    }
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    for (let passed = 0; passed < 600_000; passed += 500) {
      world.world.scheduler.advance(500)
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    const pauses = triesAtMs.slice(1).map((atMs, index) => atMs - (triesAtMs[index] ?? 0))
    expect(pauses[0]).toBeLessThanOrEqual(1500)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(60_500)
    expect(Math.min(...pauses.slice(8))).toBeGreaterThanOrEqual(30_000)
    expect(triesAtMs.length).toBeLessThan(30)
    expect(archiver.status()).toMatchObject({ failures: triesAtMs.length, error: { code: 'archive_unavailable' } })
    expect(world.warnings).toHaveLength(1)
  })

  test('is said again when it fails otherwise, and is well again after a success', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    let message = 'no room'
    world.target.fault = () => {
      if (message !== '') throw Object.assign(unavailable(), { message })
    }
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(10_000)
    message = 'no network'
    await world.pass(60_000)
    expect(world.warnings.map((warning) => warning.split(': ')[1])).toEqual(['no room', 'no network'])
    message = ''
    await world.pass(60_000)
    await world.until(() => archiver.archivedLsn > 0)
    expect(archiver.status()).toMatchObject({ failures: 0, error: null, waitingSegments: 0 })
  })

  test.each([0, 3])(
    'that answers only when the database has gone on without it is no failure, and is well (%d segments there before)',
    async (before) => {
      const world = new ArchiveWorld()
      const journal = await world.filled(before)
      if (before > 0) {
        const first = world.archiver()
        first.start()
        first.flushed(journal.flushedLsn)
        await world.pass(200)
        await world.until(() => first.status().waitingSegments === 0)
      }
      const { list, putBytes, check, read } = world.target
      const late = async <Value>(answer: () => Promise<Value>): Promise<Value> => {
        await new Promise<void>((resolve) => world.world.scheduler.after(3_500, resolve))
        return answer()
      }
      Object.assign(world.target, {
        list: (...args: Parameters<typeof list>) => late(() => list.apply(world.target, args)),
        putBytes: (...args: Parameters<typeof putBytes>) => late(() => putBytes.apply(world.target, args)),
        check: (...args: Parameters<typeof check>) => late(() => check.apply(world.target, args)),
        read: (...args: Parameters<typeof read>) => late(() => read.apply(world.target, args)),
      })
      const archiver = world.archiver()
      archiver.start()
      await world.pass(3_000)
      expect([archiver.isAsked, archiver.status().error]).toEqual([true, null])
      for (let i = 0; i < 4; i++) {
        world.fill(journal)
        archiver.flushed(journal.flushedLsn)
        await world.pass(3_000)
      }
      for (let ms = 0; ms < 300_000; ms += 500) await world.pass(500)
      expect(archiver.status()).toMatchObject({ error: null, failures: 0, waitingSegments: 0 })
      expect(world.warnings).toEqual([])
      expect(world.missing).toEqual([])
    },
  )

  test('that fails when the database has gone on without it, and then answers, is well again with nothing to bring', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(0)
    const { putBytes } = world.target
    let isDown = true
    world.target.putBytes = async (...args) => {
      await new Promise<void>((resolve) => world.world.scheduler.after(5_000, resolve))
      if (isDown) throw unavailable()
      return putBytes.apply(world.target, args)
    }
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    for (let ms = 0; ms < 8_000; ms += 500) await world.pass(500)
    expect(archiver.status()).toMatchObject({ failures: 1, error: { code: 'archive_unavailable' } })
    isDown = false
    for (let ms = 0; ms < 30_000; ms += 500) await world.pass(500)
    expect(archiver.status()).toMatchObject({ failures: 0, error: null })
    expect(world.warnings).toHaveLength(1)
  })

  test('that takes a segment and gives no answer is shown as failing, and goes on when it answers', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    const archiver = world.archiver()
    archiver.start()
    await world.settle()
    const hanging = Promise.withResolvers<'created'>()
    world.target.putStream = (_name, source) => {
      source.resume()
      return hanging.promise
    }
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.pass(120_000)
    expect(archiver.status().error?.message).toContain('has not taken segment 0000000001')
    hanging.resolve('created')
    await world.until(() => archiver.archivedLsn > 0)
    expect(archiver.status().error).toBe(null)
  })

  test('that was unmounted is not begun anew', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => archiver.archivedLsn > 0)
    world.target.objects.clear()
    world.fill(journal)
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => archiver.status().failures > 0)
    expect(archiver.status().error?.message).toContain('Is it mounted?')
    const next = world.archiver()
    next.start()
    await world.until(() => next.status().failures > 0)
    expect(next.status().error?.message).toContain('Is it mounted?')
    expect(world.target.objects.size).toBe(0)
  })
})

describe('waiting for the archive', () => {
  test('ends when everything up to there is archived', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(2)
    const archiver = world.archiver()
    archiver.start()
    const outcomes: unknown[] = []
    archiver.whenArchived(world.sealed()[1]?.lastLsn ?? lsn(0), (error) => outcomes.push(error))
    await world.settle()
    expect(outcomes).toEqual([])
    archiver.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => outcomes.length > 0)
    expect(outcomes).toEqual([null])
    expect(world.moves).toHaveLength(2)
  })

  test('tries at once, and ends with the reason when that fails', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(1)
    world.target.fault = () => {
      throw unavailable()
    }
    const archiver = world.archiver()
    archiver.start()
    archiver.flushed(journal.flushedLsn)
    await world.settle()
    const failures = archiver.status().failures
    const outcomes: unknown[] = []
    archiver.whenArchived(lsn(5), (error) => outcomes.push(error?.code))
    await world.settle()
    expect(outcomes).toEqual(['archive_unavailable'])
    expect(archiver.status().failures).toBe(failures + 1)
  })

  test('ends when the archiver stops', async () => {
    const world = new ArchiveWorld()
    await world.filled(1)
    const archiver = world.archiver()
    archiver.start()
    const outcomes: unknown[] = []
    archiver.whenArchived(lsn(5), (error) => outcomes.push(error?.code))
    await archiver.stop()
    expect(outcomes).toEqual(['not_ready'])
  })
})

describe('the archive of a journal that was cut', () => {
  test('keeps what the old timeline had, and gets the cut segment under the new one', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(2)
    const before = world.archiver()
    before.start()
    before.flushed(journal.flushedLsn)
    await world.pass(200)
    await world.until(() => world.moves.length === 2)
    await world.world.close(journal)
    const second = world.sealed()[1]
    const file = world.world.storage.open(second?.name ?? '')
    file.write([Buffer.from('damage')], 500_000)
    file.close()
    const { journal: cut } = await world.world.open({ acceptLoss: true })
    append(cut, 1, 64)
    flush(world.world, cut)
    const after = world.archiver()
    after.start()
    after.flushed(cut.flushedLsn)
    await world.pass(200)
    await world.until(() => after.status().waitingSegments === 0)
    expect(after.archivedLsn).toBe(cut.flushedLsn - 1)
    const line = await segmentsOfTimeline(world.target, 2)
    expect(line.map(({ segNo, timeline }) => [segNo, timeline])).toEqual([
      [1, 1],
      [2, 2],
    ])
    expect((await segmentsOfTimeline(world.target, 1)).map(({ segNo }) => segNo)).toEqual([1, 2])
    const beginning = JSON.parse(String(world.target.objects.get(archiveNames.timeline(2)))) as object
    expect(beginning).toMatchObject({ timeline: 2, parent: 1, fromLsn: cut.flushedLsn })
  })
})
