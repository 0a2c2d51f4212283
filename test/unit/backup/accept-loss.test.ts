import { describe, expect, test } from 'vitest'
import { acceptLoss, type Loss, type LossRequest } from '../../../src/backup/accept-loss.ts'
import { readGivingUp } from '../../../src/journal/giving-up.ts'
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
  store: Pick<LossRequest, 'root' | 'applied'> & Partial<Pick<LossRequest, 'archived' | 'claim' | 'keep'>>,
): ReturnType<typeof acceptLoss> {
  const { storage, environment } = world
  const request = { storage, environment, journalId, options: smallSegments, archived: noLsn, appliedFrame: null }
  return world.drive(acceptLoss({ ...request, claim: async (wanted) => wanted, keep: () => {}, ...store }))
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

/** What outlives a crash beside the journal: the record, and whether the store is set aside. */
class Kept {
  readonly records = new Map<string, Loss>()
  isStoreAside = false

  readonly keep = (loss: Loss): void => {
    this.records.set(loss.at, loss)
    if (loss.storeIsAhead) this.isStoreAside = true
  }
}

const segmentBytes = ({ storage }: JournalWorld): ReadonlyMap<string, Buffer | null> =>
  new Map(segmentsOf(storage.list()).map(({ name }) => [name, storage.readWhole(name)]))

function isChanged(world: JournalWorld, before: ReadonlyMap<string, Buffer | null>): boolean {
  const now = segmentBytes(world)
  return now.size !== before.size || [...before].some(([name, bytes]) => !now.get(name)?.equals(bytes as Buffer))
}

describe('giving up that is cut short', () => {
  const stores = [
    ['behind', at(20, 22)],
    ['ahead', at(25, 30)],
  ] as const

  test.each(
    stores.flatMap(([name, store]) => (['kill', 'power'] as const).map((stop) => [name, stop, store] as const)),
  )('has changed nothing or says what it gives up, and is ended by the next one (store %s, %s)', async (...args) => {
    const [, stop, store] = args
    let operations = 0
    for (let isOver = false; !isOver; operations++) {
      const { world, names } = await fourSegments()
      damage(world, names[2])
      const before = segmentBytes(world)
      const kept = new Kept()
      let left = operations
      world.fault = ({ kind }) => (kind !== 'read' && left-- === 0 ? 'crashAfter' : null)
      isOver = await accept(world, { ...store, keep: kept.keep }).then(
        () => true,
        () => false,
      )
      world.fault = () => null
      if (stop === 'power') world.storage.crash(world.random)
      else world.storage.kill()
      const isSaid = readGivingUp(world.storage) !== null
      if (isChanged(world, before)) expect([operations, isSaid || kept.records.size === 1]).toEqual([operations, true])
      if (isSaid) await expect(world.open({ serverId: journalId })).rejects.toMatchObject({ code: 'journal_corrupt' })
      await accept(world, { ...(kept.isStoreAside ? at(0, 0) : store), keep: kept.keep })
      const records = [...kept.records.values()]
      expect(records).toMatchObject([
        { timeline: 2, parent: 1, endLsn: 22, lost: { fromLsn: 23, toLsnAtLeast: 33 }, damage: { lsn: 23 } },
      ])
      expect(records[0]?.storeIsAhead).toBe(store.applied > 22)
      const aside = world.storage.list().filter((name) => name.startsWith('lost-'))
      expect(records[0]?.keptAside.map(({ name }) => name)).toEqual(aside)
      const { report, journal } = await world.open({ serverId: journalId })
      expect(report).toMatchObject({ action: 'open', recoveredLsn: 22, timeline: 2 })
      await world.close(journal)
    }
    expect(operations).toBeGreaterThan(8)
  })

  test.each([0, 1])('after %d records were kept keeps it once more, under the same name', async (records) => {
    const { world, names } = await fourSegments()
    damage(world, names[2])
    const kept = new Kept()
    const keep = (loss: Loss): void => {
      if (records > 0) kept.keep(loss)
      throw new Error('killed')
    }
    await expect(accept(world, { ...at(25, 30), keep })).rejects.toThrow('killed')
    world.storage.kill()
    await accept(world, { ...(kept.isStoreAside ? at(0, 0) : at(25, 30)), keep: kept.keep })
    expect([...kept.records.values()]).toMatchObject([{ timeline: 2, endLsn: 22, storeIsAhead: true }])
    expect(await accept(world, at(0, 0))).toBeNull()
  })

  test('and then not needed, since what was damaged was put back, is forgotten', async () => {
    const { world, names } = await fourSegments()
    const whole = world.storage.clone().readWhole(names[2] ?? '')
    damage(world, names[2])
    world.fault = ({ kind }) => (kind === 'writeWhole' ? 'crashAfter' : null)
    await expect(accept(world, at(20, 22))).rejects.toThrow()
    world.fault = () => null
    world.storage.kill()
    world.storage.replace(names[2] ?? '', whole ?? Buffer.alloc(0))
    await expect(world.open({ serverId: journalId })).rejects.toMatchObject({ code: 'journal_corrupt' })
    expect(await accept(world, at(20, 22))).toBeNull()
    expect((await world.open({ serverId: journalId })).report).toMatchObject({ recoveredLsn: 34, timeline: 1 })
  })
})
