import { describe, expect, test } from 'vitest'
import { acceptLoss, type LossRequest } from '../../../src/backup/accept-loss.ts'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld, journalId, smallSegments } from '../journal/journal-world.ts'

/** Segments from LSN 1, 11, 21 and 31, the last with 24 entries, all of them flushed. */
async function fourSegments(): Promise<{ world: JournalWorld; names: string[] }> {
  const world = new JournalWorld()
  const { journal } = await world.open({ serverId: journalId })
  for (let i = 0; i < 33; i++) append(journal, 1, 100_000)
  flush(world, journal)
  append(journal, 1, 64)
  flush(world, journal)
  world.storage.kill()
  return { world, names: segmentsOf(world.storage.list()).map(({ name }) => name) }
}

/** The byte lies in the frame of the third entry. */
const damage = (world: JournalWorld, name: string | undefined): void =>
  world.storage.flipBit(name ?? '', (4096 + 250_000) * 8)

function accept(
  world: JournalWorld,
  store: Pick<LossRequest, 'root' | 'applied'> & Partial<Pick<LossRequest, 'archived' | 'claim'>>,
): ReturnType<typeof acceptLoss> {
  const { storage, environment } = world
  const request = { storage, environment, journalId, options: smallSegments, archived: noLsn, appliedFrame: null }
  return world.drive(acceptLoss({ ...request, claim: async (wanted) => wanted, ...store }))
}

const at = (root: number, applied: number): Pick<LossRequest, 'root' | 'applied'> => ({
  root: lsn(root),
  applied: lsn(applied),
})

describe('what is given up', () => {
  test('is said with its range, its place and the files that keep it', async () => {
    const { world, names } = await fourSegments()
    damage(world, names[2])
    const loss = await accept(world, at(20, 22))
    expect(loss).toMatchObject({
      timeline: 2,
      parent: 1,
      endLsn: 22,
      lost: { fromLsn: 23, toLsnAtLeast: 33 },
      damage: { segment: names[2], lsn: 23 },
      storeIsAhead: false,
    })
    expect(loss?.keptAside.map(({ name }) => name).every((name) => name.startsWith('lost-'))).toBe(true)
    expect(loss?.keptAside.map(({ bytes }) => bytes).every((bytes) => bytes > 0)).toBe(true)
    const { report } = await world.open({ serverId: journalId })
    expect(report).toMatchObject({ action: 'open', recoveredLsn: 22, timeline: 2 })
  })

  test('is nothing where nothing is damaged, and nothing is changed then', async () => {
    const { world } = await fourSegments()
    const before = world.storage.list()
    expect(await accept(world, at(20, 33))).toBeNull()
    expect(world.storage.list()).toEqual(before)
  })

  test('goes on under the number that was claimed before anything was changed, and says where that timeline left', async () => {
    const { world, names } = await fourSegments()
    damage(world, names[2])
    const before = world.storage.clone()
    const claims: unknown[] = []
    const claim: LossRequest['claim'] = async (wanted) => {
      claims.push(wanted)
      expect(world.storage.list()).toEqual(before.list())
      for (const name of before.list()) expect(world.storage.readWhole(name)).toEqual(before.readWhole(name))
      return { ...wanted, timeline: 7 }
    }
    const loss = await accept(world, { ...at(20, 22), claim })
    expect(claims).toEqual([
      { timeline: 2, parent: 1, fromLsn: 23, reason: 'accept-loss', at: expect.stringMatching(/^20/) },
    ])
    expect(loss).toMatchObject({ timeline: 7, parent: 1, endLsn: 22 })
    expect((await world.open({ serverId: journalId })).report).toMatchObject({ action: 'open', timeline: 7 })
  })

  test('is what only the archive had, where the journal itself is sound', async () => {
    const { world } = await fourSegments()
    expect(await accept(world, { ...at(20, 33), archived: lsn(50) })).toMatchObject({
      timeline: 2,
      endLsn: 34,
      lost: { fromLsn: 35, toLsnAtLeast: 50 },
      damage: null,
      storeIsAhead: false,
    })
  })

  test('may be old segments alone: then the end and the timeline stay', async () => {
    const { world, names } = await fourSegments()
    world.storage.flipBit(names[0] ?? '', 80 * 8)
    const loss = await accept(world, at(32, 33))
    expect(loss).toMatchObject({ timeline: 1, parent: 1, endLsn: 34, lost: null, storeIsAhead: false })
    expect(loss?.keptAside).toHaveLength(1)
  })
})

describe('a store that is ahead of what is left', () => {
  test('is to be built again, when the journal goes back to the first entry', async () => {
    const { world, names } = await fourSegments()
    damage(world, names[2])
    expect(await accept(world, at(25, 30))).toMatchObject({ endLsn: 22, storeIsAhead: true })
  })

  test('loses everything from the first damage on, since all of the journal is needed then', async () => {
    const { world, names } = await fourSegments()
    damage(world, names[0])
    damage(world, names[2])
    expect(await accept(world, at(25, 30))).toMatchObject({ endLsn: 2, lost: { fromLsn: 3 }, storeIsAhead: true })
  })

  test('cannot be gone on with, when it does not: that is refused with what to do, and nothing is changed', async () => {
    const { world, names } = await fourSegments()
    world.storage.remove(names[0] ?? '')
    damage(world, names[2])
    const before = world.storage.clone()
    await expect(accept(world, at(25, 30))).rejects.toMatchObject({
      code: 'journal_corrupt',
      message: expect.stringContaining('--to-lsn 22'),
      details: { endLsn: 22, applied: 30, firstLsn: 11 },
    })
    expect(world.storage.list()).toEqual(before.list())
    for (const name of before.list()) expect(world.storage.readWhole(name)).toEqual(before.readWhole(name))
  })
})
