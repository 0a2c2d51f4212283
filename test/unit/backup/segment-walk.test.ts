import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fetchArchivedSegment } from '../../../src/archive/file-archived-segment.ts'
import { historyOf, takeStock } from '../../../src/backup/lineage.ts'
import { walkSegments } from '../../../src/backup/segment-walk.ts'
import { FileStorage } from '../../../src/journal/file-storage.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { ArchiveWorld } from '../archive/archive-world.ts'
import { flush, journalId } from '../journal/journal-world.ts'
import { received, StubJournal } from '../role-world.ts'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-restore-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

/** An archive of so many segments of a few entries. */
async function archived(segments: number, world = new ArchiveWorld()): Promise<ArchiveWorld> {
  const { journal } = await world.world.open()
  const entries = new StubJournal()
  while (world.sealed().length < segments) {
    entries.append([received('a', 'add', { text: 'x'.repeat(200_000) })])
    const { payload, firstLsn } = entries.batches.at(-1) as (typeof entries.batches)[number]
    journal.append(payload, firstLsn, 1, journal.flushedLsn)
  }
  flush(world.world, journal)
  await world.vault.open(true)
  for (const segment of world.sealed()) await world.vault.store(segment)
  return world
}

/** The last LSN of each segment that is brought to restore from. */
async function walk({ target }: ArchiveWorld, wanted: Uint8Array = journalId): Promise<number[]> {
  const lastLsns: number[] = []
  const segments = walkSegments({
    history: historyOf(await takeStock([target]), 1),
    fromLsn: lsn(1),
    goal: { to: 'end' },
    digestsOf: new Set(),
    journalId: wanted,
    storage: new FileStorage(directory),
    fetchSegment: (segment) => fetchArchivedSegment(target, segment, path.join(directory, segment.name)),
    progress: () => {},
  })
  for await (const { scanned } of segments) lastLsns.push(scanned.lastLsn)
  return lastLsns
}

const objectOf = ({ target }: ArchiveWorld, segNo: number): string =>
  [...target.objects.keys()].find((name) => name.includes(`/${String(segNo).padStart(10, '0')}-`)) ?? ''

describe('what is restored', () => {
  test('goes along the hash chain: a segment of another history is refused', async () => {
    const other = new ArchiveWorld()
    other.world.random.uint32() // another salt in every segment
    const [world, strange] = [await archived(3), await archived(3, other)]
    const second = objectOf(world, 2)
    world.target.objects.set(second, strange.target.objects.get(second) ?? Buffer.alloc(0))
    await expect(walk(world)).rejects.toMatchObject({
      code: 'archive_corrupt',
      details: { object: second, reason: expect.stringContaining('its history is another one') },
    })
  })

  test('has no gap: a segment that is missing is named', async () => {
    const world = await archived(3)
    const third = objectOf(world, 3)
    world.target.objects.delete(objectOf(world, 2))
    await expect(walk(world)).rejects.toMatchObject({
      code: 'archive_corrupt',
      details: { object: third, reason: expect.stringContaining('segment 2, which must come before it, is missing') },
    })
  })

  test('is brought in order, whole', async () => {
    expect(await walk(await archived(3))).toEqual([5, 10, 15])
  })

  test('is of the journal that is wanted, and of no other', async () => {
    const world = await archived(1)
    await expect(walk(world, Buffer.alloc(16, 0xee))).rejects.toMatchObject({ code: 'foreign_database' })
  })
})
