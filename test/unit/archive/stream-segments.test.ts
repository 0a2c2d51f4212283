import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listArchivedSegments } from '../../../src/archive/archived-segments.ts'
import { BatchArchive } from '../../../src/archive/batch-archive.ts'
import { fetchArchivedSegment } from '../../../src/archive/file-archived-segment.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { StreamSegments } from '../../../src/archive/stream-segments.ts'
import { verifyArchive } from '../../../src/archive/verify-archive.ts'
import { FileStorage } from '../../../src/journal/file-storage.ts'
import { type FrameRow, inspectJournal } from '../../../src/journal/inspect.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'

const policy = { replicas: 1, ackQuorum: 1, topology: 'fanout' } as const

/** The first four bytes of a payload are its time. */
function batchesOf(count: number, before: ReplicatedBatch | undefined): ReplicatedBatch[] {
  const made: ReplicatedBatch[] = []
  for (let i = 0; i < count; i++) {
    const last = made.at(-1) ?? before
    const first = last === undefined ? 1 : lastLsnOf(last) + 1
    const payload = Buffer.alloc(i % 2 === 0 ? 4096 : 300_000, `entries from ${first}`)
    payload.writeUInt32LE(1000 + first, 0)
    made.push(makeBatch(last?.digest ?? emptyDigest, lsn(first), 2, payload))
  }
  return made
}

describe('the archive of a replicated journal, seen as that of one database', () => {
  const target = new MemoryTarget()
  const directory = (): string => mkdtempSync(join(tmpdir(), 'stream-segments-'))
  let scratch: string
  let all: ReplicatedBatch[]
  let names: string[]

  beforeEach(async () => {
    target.objects.clear()
    scratch = directory()
    all = []
    names = []
    const clock = { wallMs: () => 0, monotonicMs: () => 0 }
    const archive = new BatchArchive({ target, stream: 's', journalId: Buffer.alloc(16, 7), clock, warn: () => {} })
    for (const at of [1, 2, 3]) {
      const own = batchesOf(2 * at, all.at(-1))
      const [first, last] = [own[0], own.at(-1)] as [ReplicatedBatch, ReplicatedBatch]
      const name = await archive.store(
        {
          epoch: epoch(at),
          base: first.firstLsn,
          baseDigest: first.prevDigest.toString('hex'),
          group: ['a'],
          policy,
          state: 'sealed',
          tail: lastLsnOf(last),
          tailDigest: last.digest.toString('hex'),
        },
        async function* () {
          yield* own
        },
      )
      names.push(name)
      all.push(...own)
    }
  })
  afterEach(() => rmSync(scratch, { recursive: true, force: true }))

  const seen = () => StreamSegments.over({ target, stream: 's', wallMsOf: (payload) => payload.readUInt32LE(0) })
  const verified = async () => {
    const view = await seen()
    return verifyArchive(view, {
      storage: new FileStorage(scratch),
      fetch: async (segment) => void (await fetchArchivedSegment(view, segment, join(scratch, segment.name))),
    })
  }

  it('is a journal without a fault, with the same entries and the times of the newest of them', async () => {
    const view = await seen()
    const segments = await listArchivedSegments(view)
    expect(segments.map(({ segNo, baseLsn }) => [segNo, baseLsn])).toEqual([
      [1, 1],
      [2, 5],
      [3, 13],
    ])
    for (const segment of segments) await fetchArchivedSegment(view, segment, join(scratch, segment.name))
    const rows = [...inspectJournal(new FileStorage(scratch))]
    const frames = rows.filter((row): row is FrameRow => row.kind === 'frame' && row.header.entryCount > 0)
    expect(frames.map(({ header }) => [header.firstLsn, header.entryCount, header.wallMs])).toEqual(
      all.map(({ firstLsn, entryCount }) => [firstLsn, entryCount, 1000 + firstLsn]),
    )
    expect(await verified()).toMatchObject({ status: 'ok', segments: 3, firstLsn: 1, lastLsn: 24, timelines: [1] })
  })

  it('shows what is damaged, and what is missing', async () => {
    const [, name] = names as [string, string]
    const whole = target.objects.get(name) as Buffer
    const damaged = Buffer.from(whole)
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] as number) ^ 1
    target.objects.set(name, damaged)
    expect(await verified()).toMatchObject({ status: 'corrupt', faults: [{ lsn: 5 }] })
    target.objects.delete(name)
    expect((await verified()).faults.map(({ reason }) => reason)).toEqual(['segment 2 is missing before it'])
    expect(((await seen()) as StreamSegments).range).toBeNull()
  })

  it('has what one database put beside it as well, and what it lacks as a stream is as it is', async () => {
    const view = await seen()
    await view.putBytes('timelines/00000002.json', Buffer.from('{}'))
    expect(await view.list('timelines/')).toEqual(['timelines/00000002.json'])
    const other = await StreamSegments.over({ target, stream: 'none', wallMsOf: () => 0 })
    expect(other).toBe(target)
  })

  it('is refused where two clusters wrote their histories', async () => {
    const name = names[0] as string
    const other = name.replace(/-[0-9a-f]{64}/, `-${'0'.repeat(64)}`)
    target.objects.set(other, target.objects.get(name) as Buffer)
    await expect(seen()).rejects.toMatchObject({ code: 'archive_conflict' })
  })
})
