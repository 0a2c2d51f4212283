import { beforeEach, describe, expect, it } from 'vitest'
import { BatchArchive } from '../../../src/archive/batch-archive.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { epoch, type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import type { SealedSegment, StreamMeta } from '../../../src/replication/stream-meta.ts'

const journalId = Buffer.alloc(16, 7)
const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const

/** A stream of three sealed segments with two batches each, and the one that is open behind them. */
const chain = chainOf(6)
const segments = [0, 1, 2].map((index) => segmentOf(index + 1, chain.slice(2 * index, 2 * index + 2)))

function chainOf(count: number, text = 'entry'): ReplicatedBatch[] {
  const made: ReplicatedBatch[] = []
  for (let i = 0; i < count; i++) {
    const last = made.at(-1)
    const first = last === undefined ? 1 : lastLsnOf(last) + 1
    made.push(makeBatch(last?.digest ?? emptyDigest, lsn(first), 1 + (i % 3), Buffer.alloc(64, `${text} ${i}`)))
  }
  return made
}

function segmentOf(at: number, batches: readonly ReplicatedBatch[]): SealedSegment {
  const [first, last] = [batches[0], batches.at(-1)] as [ReplicatedBatch, ReplicatedBatch]
  return {
    epoch: epoch(at),
    base: first.firstLsn,
    baseDigest: first.prevDigest.toString('hex'),
    group: ['a'],
    policy,
    state: 'sealed',
    tail: lastLsnOf(last),
    tailDigest: last.digest.toString('hex'),
  }
}

const batchesOf = (segment: SealedSegment, from = chain) =>
  async function* () {
    yield* from.filter(({ firstLsn }) => firstLsn >= segment.base && firstLsn <= segment.tail)
  }

/** The record after everything up to there was given up. */
const trimmedUpTo = (trimLsn: Lsn, left: readonly SealedSegment[]): StreamMeta => {
  const last = left.at(-1) ?? segments[2]
  const open = { epoch: epoch(9), group: ['a'], policy, state: 'open' } as const
  const behind = { base: lsn((last?.tail ?? 0) + 1), baseDigest: last?.tailDigest ?? '' }
  return { stream: 's', epoch: epoch(9), leader: null, nonce: '', trimLsn, segments: [...left, { ...open, ...behind }] }
}

describe('sealed segments of a stream in an archive', () => {
  let objects: Map<string, Buffer>
  let archive: BatchArchive
  const open = (objectsThere = objects, id: Uint8Array = journalId): BatchArchive =>
    new BatchArchive({
      target: new MemoryTarget({ objects: objectsThere }),
      stream: 's',
      journalId: id,
      clock: { wallMs: () => 0, monotonicMs: () => 0 },
      warn: () => {},
    })
  const storeAll = async (): Promise<string[]> => {
    const names: string[] = []
    for (const segment of segments) names.push(await archive.store(segment, batchesOf(segment)))
    return names
  }
  const read = async (after: number, meta: StreamMeta, from = archive): Promise<ReplicatedBatch[]> => {
    const found: ReplicatedBatch[] = []
    for await (const batches of from.read(lsn(after), meta)) found.push(...batches)
    return found
  }

  beforeEach(() => {
    objects = new Map()
    archive = open()
  })

  it('are not put beside the segments of a journal that a database kept alone, unless they were there first', async () => {
    const [segment] = segments as [SealedSegment]
    objects.set('segments/00000001/0000000001-0000000000000001.segment.zst', Buffer.alloc(1))
    await expect(archive.store(segment, batchesOf(segment))).rejects.toMatchObject({
      code: 'archive_conflict',
      message: expect.stringContaining('name another place'),
    })
    objects.delete('segments/00000001/0000000001-0000000000000001.segment.zst')
    await archive.store(segment, batchesOf(segment))
    // Somebody has restored a copy, which goes on in the same archive.
    objects.set('segments/00000002/0000000001-0000000000000001.segment.zst', Buffer.alloc(1))
    await open().store(segments[1] as SealedSegment, batchesOf(segments[1] as SealedSegment))
  })

  it('lie under names that say from where to where they reach, and what is in them', async () => {
    const [name] = await storeAll()
    expect(name).toMatch(/^s\/00000001\/0000000000000001-0000000000000003-[0-9a-f]{64}\.zst$/)
    expect([...objects.keys()]).toContain(name)
    expect(await archive.holds(name as string)).toBe(true)
    expect(await archive.holds((name as string).replace('s/', 't/'))).toBe(false)
  })

  it('come back as they were, also in the middle of a segment', async () => {
    await storeAll()
    const meta = trimmedUpTo(segments[2]?.tail as Lsn, [])
    expect(await read(0, meta)).toEqual(chain)
    expect(await read(3, meta)).toEqual(chain.slice(2))
    expect(await read(lastLsnOf(chain[2] as ReplicatedBatch), meta)).toEqual(chain.slice(3))
  })

  it('are read up to where the journal servers go on', async () => {
    const names = await storeAll()
    const [, second, third] = segments as [SealedSegment, SealedSegment, SealedSegment]
    const marked = { ...second, archive: names[1] as string }
    // The mark lies within the second: the record still names it, and what it is in.
    expect(await read(0, trimmedUpTo(lsn(second.base), [marked, third]))).toEqual(chain.slice(0, 4))
    expect(await read(0, trimmedUpTo(lsn(second.base - 1), [second, third]))).toEqual(chain.slice(0, 2))
  })

  it('are put once: a second leader finds the same bytes, and puts none', async () => {
    const names = await storeAll()
    const before = new Map(objects)
    archive = open()
    expect(await storeAll()).toEqual(names)
    expect(objects).toEqual(before)
  })

  it('are marked only when the archive gives back what it was given', async () => {
    const segment = segments[0] as SealedSegment
    const name = await archive.store(segment, batchesOf(segment))
    const whole = objects.get(name) as Buffer
    for (const broken of [whole.subarray(0, whole.length >> 1), Buffer.alloc(0), flipped(whole)]) {
      objects.set(name, broken)
      await expect(archive.store(segment, batchesOf(segment))).rejects.toMatchObject({ code: 'archive_conflict' })
      // Never overwritten, whatever it is.
      expect(objects.get(name)).toBe(broken)
    }
  })

  it('are not archived where the servers have something else than the record says', async () => {
    const segment = segments[1] as SealedSegment
    const other = chainOf(6, 'other')
    await expect(archive.store(segment, batchesOf(segment, other))).rejects.toMatchObject({ code: 'journal_corrupt' })
    const few = { ...segment, tail: lsn(segment.tail + 1) }
    await expect(archive.store(few, batchesOf(segment))).rejects.toMatchObject({ code: 'journal_corrupt' })
    expect([...objects.keys()].filter((name) => name.startsWith('s/'))).toEqual([])
  })

  it('of another history at the same place are passed over', async () => {
    const other = chainOf(6, 'other')
    for (const index of [0, 1, 2]) {
      const segment = segmentOf(index + 1, other.slice(2 * index, 2 * index + 2))
      await archive.store(segment, batchesOf(segment, other))
    }
    await storeAll()
    expect(await read(0, trimmedUpTo(segments[2]?.tail as Lsn, []))).toEqual(chain)
  })

  it('say what is missing where one is not there', async () => {
    const names = await storeAll()
    objects.delete(names[1] as string)
    const meta = trimmedUpTo(segments[2]?.tail as Lsn, [])
    await expect(read(0, meta)).rejects.toMatchObject({
      code: 'log_trimmed',
      details: { after: 0, tail: segments[1]?.tail },
    })
    const needed = segments[1]?.tail as Lsn
    expect(await read(needed, meta)).toEqual(chain.slice(4))
  })

  it('that are damaged give nothing that is not sound', async () => {
    const names = await storeAll()
    const name = names[0] as string
    objects.set(name, flipped(objects.get(name) as Buffer))
    const meta = trimmedUpTo(segments[2]?.tail as Lsn, [])
    await expect(read(0, meta)).rejects.toMatchObject({ code: 'archive_corrupt', details: { object: name } })
  })

  it('belong to one database', async () => {
    await storeAll()
    const foreign = open(objects, Buffer.alloc(16, 8))
    const segment = segments[0] as SealedSegment
    await expect(foreign.store(segment, batchesOf(segment))).rejects.toMatchObject({ code: 'foreign_database' })
    await expect(read(0, trimmedUpTo(segments[2]?.tail as Lsn, []), foreign)).rejects.toMatchObject({
      code: 'archive_corrupt',
    })
  })
})

function flipped(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes)
  const at = other.length >> 1
  other[at] = (other[at] as number) ^ 1
  return other
}
