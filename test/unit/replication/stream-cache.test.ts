import { describe, expect, it } from 'vitest'
import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn, noLsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import {
  CacheComparison,
  cutToCommon,
  notedPlace,
  notePlace,
  type StreamPlace,
} from '../../../src/replication/stream-cache.ts'
import { append, flush, JournalWorld, payloadOf } from '../journal/journal-world.ts'

const beginning: StreamPlace = { lsn: noLsn, digest: emptyDigest }

/** A node that led: batches of two entries each, of which the first ones are committed. */
async function formerLeader(batches: number, bytes = 64): Promise<{ world: JournalWorld; stream: ReplicatedBatch[] }> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  const stream: ReplicatedBatch[] = []
  for (let n = 0; n < batches; n++) {
    const payload = append(journal, 2, bytes)
    stream.push(makeBatch(stream.at(-1)?.digest ?? emptyDigest, lsn(2 * n + 1), 2, payload))
  }
  flush(world, journal)
  await world.close(journal)
  return { world, stream }
}

const compare = (world: JournalWorld, from: StreamPlace, batches: readonly ReplicatedBatch[]): StreamPlace => {
  const comparison = new CacheComparison(world.storage, from)
  for (const batch of batches) if (!comparison.isNext(batch)) break
  comparison.close()
  return comparison.common
}

describe('the local segments of a node', () => {
  it('have in common with the stream what is committed there', async () => {
    const { world, stream } = await formerLeader(5)
    expect(compare(world, beginning, stream).lsn).toBe(10)
    expect(compare(world, beginning, stream.slice(0, 3)).lsn).toBe(6)
    const fourth = { lsn: lsn(8), digest: stream[3]?.digest ?? emptyDigest }
    expect(compare(world, fourth, stream.slice(4)).lsn).toBe(10)
  })

  it('lose an end that was never committed, and go on with what was committed instead', async () => {
    const { world, stream } = await formerLeader(5)
    const common = stream.slice(0, 3)
    const other = makeBatch(common[2]?.digest ?? emptyDigest, lsn(7), 1, payloadOf(lsn(99), 64))
    const { lsn: end } = compare(world, beginning, [...common, other])
    expect(end).toBe(6)
    cutToCommon(world.storage, end)
    const { journal, batches } = await world.open()
    expect(journal.writtenLsn).toBe(6)
    expect(batches.map(({ firstLsn }) => firstLsn)).toEqual([1, 3, 5])
    journal.append(other.payload, other.firstLsn, 1, noLsn)
    flush(world, journal)
    await world.close(journal)
    expect(compare(world, beginning, [...common, other]).lsn).toBe(7)
  })

  it('end where they are damaged, and where they were not flushed', async () => {
    const { world, stream } = await formerLeader(40, 60_000)
    const segment = segmentsOf(world.storage.list()).at(-1)
    const file = world.storage.open(segment?.name ?? '')
    file.write([Buffer.alloc(64, 0x5a)], 300_000)
    file.close()
    const { lsn: end } = compare(world, beginning, stream)
    expect(end).toBeLessThan(80)
    cutToCommon(world.storage, end)
    const { journal } = await world.open()
    expect(journal.writtenLsn).toBe(end)
    await world.close(journal)
  })

  it('are dropped as a whole when not even their beginning is common', async () => {
    const { world } = await formerLeader(3)
    cutToCommon(world.storage, noLsn)
    expect(segmentsOf(world.storage.list())).toEqual([])
    const place = { lsn: lsn(50), digest: Buffer.alloc(16, 9) }
    const { journal } = await world.open({ base: { nextLsn: lsn(51), digest: place.digest }, replayFrom: lsn(51) })
    expect(journal.writtenLsn).toBe(50)
    await world.close(journal)
  })

  it('remember a common place, and do not trust a damaged note', async () => {
    const { world } = await formerLeader(1)
    expect(notedPlace(world.storage)).toBeNull()
    const place = { lsn: lsn(2), digest: Buffer.alloc(16, 7) }
    notePlace(world.storage, place)
    expect(notedPlace(world.storage)).toEqual(place)
    const bytes = world.storage.readWhole('stream.place') ?? Buffer.alloc(0)
    bytes[3] = 1
    world.storage.writeWhole('stream.place', bytes)
    expect(notedPlace(world.storage)).toBeNull()
  })
})
