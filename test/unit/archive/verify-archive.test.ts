import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { archiveNames } from '../../../src/archive/archive-target.ts'
import { fetchArchivedSegment } from '../../../src/archive/file-archived-segment.ts'
import { type ArchiveSummary, verifyArchive } from '../../../src/archive/verify-archive.ts'
import { FileStorage } from '../../../src/journal/file-storage.ts'
import { append, flush } from '../journal/journal-world.ts'
import { ArchiveWorld } from './archive-world.ts'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-archive-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

function verify({ target }: ArchiveWorld): Promise<ArchiveSummary> {
  return verifyArchive(target, {
    storage: new FileStorage(directory),
    fetch: async (segment) => void (await fetchArchivedSegment(target, segment, path.join(directory, segment.name))),
  })
}

/** An archive of so many segments. */
async function archived(segments: number): Promise<ArchiveWorld> {
  const world = new ArchiveWorld()
  await world.filled(segments)
  await world.vault.open(true)
  for (const segment of world.sealed()) await world.vault.store(segment)
  return world
}

const objectOf = (world: ArchiveWorld, segNo: number): string => {
  const name = [...world.target.objects.keys()].find((object) =>
    object.includes(`/${String(segNo).padStart(10, '0')}-`),
  )
  return name ?? ''
}

/** Changes what is in an object, as somebody would who knows how it is packed. */
function alter(world: ArchiveWorld, segNo: number, change: (bytes: Buffer) => Buffer): string {
  const object = objectOf(world, segNo)
  world.target.objects.set(object, zstdCompressSync(change(zstdDecompressSync(world.target.objects.get(object) ?? ''))))
  return object
}

const faultsOf = ({ faults }: ArchiveSummary): [string, string][] =>
  faults.map(({ object, reason }) => [object, reason])

describe('verifying an archive', () => {
  test('counts what is sound, and leaves nothing behind', async () => {
    const world = await archived(3)
    const last = world.sealed()[2]?.lastLsn
    expect(await verify(world)).toMatchObject({
      status: 'ok',
      segments: 3,
      timelines: [1],
      firstLsn: 1,
      lastLsn: last,
      faults: [],
    })
    expect(fs.readdirSync(directory)).toEqual([])
  })

  test('takes one that was begun late', async () => {
    const world = await archived(3)
    world.target.objects.delete(objectOf(world, 1))
    expect(await verify(world)).toMatchObject({ status: 'ok', segments: 2 })
  })

  test('names the object whose packing is damaged, wherever the bit is', async () => {
    const world = await archived(2)
    const object = objectOf(world, 2)
    const sound = world.target.objects.get(object) ?? Buffer.alloc(0)
    for (let at = 0; at < sound.length; at += 97) {
      const damaged = Buffer.from(sound)
      damaged[at] = (damaged[at] ?? 0) ^ 4
      world.target.objects.set(object, damaged)
      expect(
        faultsOf(await verify(world)).map(([name]) => name),
        `byte ${at}`,
      ).toEqual([object])
    }
  })

  test('names an object that is cut off', async () => {
    const world = await archived(2)
    const object = objectOf(world, 1)
    world.target.objects.set(object, world.target.objects.get(object)?.subarray(0, 1000) ?? Buffer.alloc(0))
    const summary = await verify(world)
    expect(summary.status).toBe('corrupt')
    expect(faultsOf(summary)[0]).toEqual([object, 'unexpected end of file'])
  })

  test('names the place of a frame that is damaged although the packing is sound', async () => {
    const world = await archived(2)
    const object = alter(world, 2, (bytes) => {
      bytes[500_000] = (bytes[500_000] ?? 0) ^ 1
      return bytes
    })
    const { faults } = await verify(world)
    expect(faults).toMatchObject([{ object, reason: expect.stringContaining('damaged') }])
    const frameBytes = 100_120
    expect(faults[0]?.offset).toBeLessThanOrEqual(500_000)
    expect(faults[0]?.offset).toBeGreaterThan(500_000 - frameBytes)
  })

  test('names the segment before which one is missing', async () => {
    const world = await archived(4)
    world.target.objects.delete(objectOf(world, 2))
    expect(faultsOf(await verify(world))).toEqual([[objectOf(world, 3), 'segment 2 is missing before it']])
  })

  test('names an object that is another segment than its name says', async () => {
    const world = await archived(2)
    const first = world.target.objects.get(objectOf(world, 1)) ?? Buffer.alloc(0)
    world.target.objects.set(objectOf(world, 2), first)
    expect(faultsOf(await verify(world))).toEqual([
      [objectOf(world, 2), 'its header says segment 1 from LSN 1 on timeline 1'],
    ])
  })

  test('names a segment of a history that does not go on from the one before', async () => {
    const world = await archived(2)
    const other = new ArchiveWorld()
    other.world.random.uint32()
    await other.filled(2)
    await other.vault.open(true)
    for (const segment of other.sealed()) await other.vault.store(segment)
    world.target.objects.set(objectOf(world, 2), other.target.objects.get(objectOf(world, 2)) ?? Buffer.alloc(0))
    expect(faultsOf(await verify(world))).toEqual([
      [objectOf(world, 2), 'it does not follow the last frame of the segment before it'],
    ])
  })

  test('names segments of another journal than the archive is of', async () => {
    const world = await archived(1)
    const identity = { format: 1, journalId: 'ff'.repeat(16), createdAt: '2026-01-01T00:00:00.000Z' }
    world.target.objects.set(archiveNames.identity, Buffer.from(JSON.stringify(identity)))
    expect(faultsOf(await verify(world))).toEqual([
      [objectOf(world, 1), `it is of the journal ${'11'.repeat(16)}, the archive is of ${'ff'.repeat(16)}`],
    ])
  })

  test('follows a timeline from the one that it came from', async () => {
    const world = new ArchiveWorld()
    const journal = await world.filled(3)
    await world.vault.open(true)
    for (const segment of world.sealed()) await world.vault.store(segment)
    await world.world.close(journal)
    const file = world.world.storage.open(world.sealed()[1]?.name ?? '')
    file.write([Buffer.from('damage')], 500_000)
    file.close()
    const { journal: cut } = await world.world.open({ acceptLoss: true })
    append(cut, 1, 64)
    flush(world.world, cut)
    world.fill(cut)
    for (const segment of world.sealed()) await world.vault.store(segment)
    expect(await verify(world)).toMatchObject({ status: 'ok', timelines: [1, 2], segments: 5 })
    const beginning = archiveNames.timeline(2)
    world.target.objects.set(beginning, Buffer.from('{}'))
    expect((await verify(world)).faults[0]).toMatchObject({ object: beginning })
  })

  test('does not take a place that cannot be read for a damaged one', async () => {
    const world = await archived(1)
    world.target.fault = () => {
      throw Object.assign(new Error('down'), { code: 'EIO' })
    }
    await expect(verify(world)).rejects.toThrow('down')
  })
})
