import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { listArchivedSegments } from '../../../src/archive/archived-segments.ts'
import { fetchArchivedSegment } from '../../../src/archive/file-archived-segment.ts'
import { ArchiveWorld } from './archive-world.ts'

const first = 'segments/00000001/0000000001-0000000000000001.segment.zst'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-archive-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

function localBytes(world: ArchiveWorld, name: string): Buffer {
  return world.world.storage.readWhole(name) ?? Buffer.alloc(0)
}

describe('a sealed segment', () => {
  test('comes back from the archive as it lay in the journal', async () => {
    const world = new ArchiveWorld()
    await world.filled(3)
    await world.vault.open(true)
    for (const segment of world.sealed()) expect(await world.vault.store(segment)).toBe('created')
    const archived = await listArchivedSegments(world.target)
    expect(archived.map(({ segNo, timeline }) => [segNo, timeline])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ])
    for (const segment of archived) {
      const file = path.join(directory, segment.name)
      expect(await fetchArchivedSegment(world.target, segment, file)).toEqual({ bytes: 1_048_576 })
      expect(fs.readFileSync(file).equals(localBytes(world, segment.name))).toBe(true)
    }
    expect(fs.readdirSync(directory)).toHaveLength(3)
  })

  test.each([
    ['another byte', (bytes: Buffer) => bytes.fill(bytes[5000] === 1 ? 2 : 1, 5000, 5001)],
    ['only its beginning', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['more behind it', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ])('is not taken for archived where the archive has %s, which stays as it is', async (_what, change) => {
    const world = new ArchiveWorld()
    await world.filled(1)
    await world.vault.open(true)
    const [segment] = world.sealed()
    if (segment === undefined) throw new Error('a segment is sealed')
    const there = zstdCompressSync(change(Buffer.from(localBytes(world, segment.name))))
    world.target.objects.set(first, there)
    await expect(world.vault.store(segment)).rejects.toMatchObject({
      code: 'archive_conflict',
      details: { object: first },
    })
    expect(world.target.objects.get(first)).toBe(there)
  })

  test('is not archived with a damaged end, which no frame behind it gives away', async () => {
    const world = new ArchiveWorld()
    await world.filled(1)
    await world.vault.open(true)
    const [segment] = world.sealed()
    if (segment === undefined) throw new Error('a segment is sealed')
    // The last byte that is used belongs to the digest of the seal.
    const end = localBytes(world, segment.name).findLastIndex((byte) => byte !== 0)
    world.world.storage.flipBit(segment.name, end * 8)
    await expect(world.vault.store(segment)).rejects.toMatchObject({ code: 'journal_corrupt' })
    expect(world.target.objects.has(first)).toBe(false)
  })

  test('is packed with a checksum and much smaller', async () => {
    const world = new ArchiveWorld()
    await world.filled(1)
    await world.vault.open(true)
    for (const segment of world.sealed()) await world.vault.store(segment)
    const object = world.target.objects.get(first) ?? Buffer.alloc(0)
    expect(object.length).toBeLessThan(100_000)
    const last = object.length - 1
    object[last] = (object[last] ?? 0) ^ 1
    expect(() => zstdDecompressSync(object)).toThrow(/checksum/)
  })
})
