import { beforeEach, describe, expect, test } from 'vitest'
import { type ArchivedBeyond, archivedBeyond } from '../../../src/archive/archived-beyond.ts'
import { archivedSegment } from '../../../src/archive/archived-segments.ts'
import { zstd } from '../../../src/archive/segment-codec.ts'
import type { Journal } from '../../../src/journal/journal.ts'
import type { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import type { Lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld } from '../journal/journal-world.ts'
import { ArchiveWorld, unavailable } from './archive-world.ts'

let world: ArchiveWorld
let journal: Journal
/** The journal as it was when it had one sealed segment and some entries in the second. */
let old: MemoryStorage
let oldEnd: Lsn

beforeEach(async () => {
  world = new ArchiveWorld()
  journal = await world.filled(1)
  append(journal, 3, 1000)
  flush(world.world, journal)
  old = world.world.storage.clone()
  oldEnd = journal.flushedLsn
})

async function archiveAll(): Promise<void> {
  await world.vault.open(true)
  for (const segment of world.sealed()) await world.vault.store(segment)
}

const beyond = (storage: MemoryStorage): Promise<ArchivedBeyond | null> => archivedBeyond(world.target, storage, zstd)

describe('an archive', () => {
  test('goes on behind nothing of the journal that it is of', async () => {
    expect(await beyond(world.world.storage)).toBeNull()
    await archiveAll()
    expect(await beyond(world.world.storage)).toBeNull()
    expect(await beyond(old)).toBeNull()
  })

  test('that has the newest segment of a journal as a whole goes on behind its end', async () => {
    world.fill(journal)
    await archiveAll()
    const [, second] = world.sealed()
    expect(await beyond(old)).toEqual({
      object: expect.stringContaining('/0000000002-'),
      timeline: 1,
      endLsn: oldEnd,
      lastLsn: second?.lastLsn,
    })
  })

  test('that has newer ones is known to have seen the first entry of the newest at least', async () => {
    world.fill(journal)
    world.fill(journal)
    await archiveAll()
    const third = world.sealed()[2]
    expect(await beyond(old)).toMatchObject({
      object: expect.stringContaining('/0000000003-'),
      lastLsn: third?.baseLsn,
    })
  })

  test('that was begun later than where the journal ends is believed by its names', async () => {
    world.fill(journal)
    world.fill(journal)
    await archiveAll()
    for (const name of [...world.target.objects.keys()])
      if ((archivedSegment(name)?.segNo ?? 3) < 3) world.target.objects.delete(name)
    expect(await beyond(old)).toMatchObject({ endLsn: oldEnd, lastLsn: world.sealed()[2]?.baseLsn })
  })

  test('that got another history from a copy of the database goes on behind nothing', async () => {
    world.fill(journal)
    await archiveAll()
    const copy = new JournalWorld()
    copy.storage = old.clone({ scheduler: copy.scheduler })
    copy.wallMs += 5000
    const other = (await copy.open()).journal
    append(other, 1, 2000)
    flush(copy, other)
    expect(await beyond(copy.storage)).toBeNull()
  })

  test('does not matter on another timeline', async () => {
    world.fill(journal)
    await archiveAll()
    const left = new JournalWorld()
    left.storage = old.clone({ scheduler: left.scheduler })
    const { report } = await left.open({ acceptLoss: true, floorLsn: (oldEnd + 1) as Lsn })
    expect(report.timeline).toBe(2)
    expect(await beyond(left.storage)).toBeNull()
  })
})

describe('the archiver of a journal that lacks what its archive has', () => {
  const behind = (): ArchiveWorld => {
    const late = new ArchiveWorld(world.target.objects)
    for (const { name } of segmentsOf(old.list())) late.world.storage.replace(name, old.readWhole(name) as Buffer)
    return late
  }

  test('says so before anything is brought, and what to do', async () => {
    world.fill(journal)
    await archiveAll()
    const objects = [...world.target.objects.keys()]
    const late = behind()
    const archiver = late.archiver()
    archiver.start()
    archiver.flushed(oldEnd)
    await late.until(() => late.missing.length > 0)
    expect(late.missing).toMatchObject([
      { code: 'journal_corrupt', retryable: false, details: { lsn: oldEnd + 1, rule: 'R7' } },
    ])
    expect(late.missing[0]?.message).toMatch(
      /back from the archive, restore from it .*, or start once with --accept-loss/,
    )
    await late.pass(10_000)
    expect([...world.target.objects.keys()]).toEqual(objects)
    await archiver.stop()
  })

  test('does not hold up the start while the archive does not answer, nor ends what runs when it answers late', async () => {
    world.fill(journal)
    await archiveAll()
    const late = behind()
    late.target.fault = () => {
      throw unavailable()
    }
    const archiver = late.archiver()
    archiver.start()
    await late.until(() => archiver.isAsked)
    late.target.fault = () => {}
    await late.pass(5000)
    await late.until(() => archiver.status().error?.code === 'journal_corrupt')
    expect(late.missing).toEqual([])
    expect(archiver.status().error?.message).toContain('acknowledged entries are missing')
    await archiver.stop()
  })

  test('waits for an archive that hangs only so long', async () => {
    const { promise, resolve } = Promise.withResolvers<never>()
    const hanging = new ArchiveWorld()
    hanging.vault.open = () => promise
    const archiver = hanging.archiver()
    archiver.start()
    await hanging.pass(2999)
    expect(archiver.isAsked).toBe(false)
    await hanging.pass(1)
    expect(archiver.isAsked).toBe(true)
    resolve(undefined as never)
  })
})
