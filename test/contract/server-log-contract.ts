import { describe, expect, it, onTestFinished } from 'vitest'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import { type Epoch, epoch, lsn } from '../../src/kernel/identifiers.ts'
import { type Digest, emptyDigest, lastLsnOf, makeBatch, type ReplicatedBatch } from '../../src/replication/batch.ts'
import type { ServerDisk } from '../../src/replication/server-disk.ts'
import type { ServerLog } from '../../src/replication/server-log.ts'
import { segmentDirectory } from '../../src/replication/stored-stream.ts'

export interface ServerLogFixture {
  readonly disk: ServerDisk
  /** What its process had open is of no use any more, as after a kill. */
  open(names?: { readonly serverId?: string; readonly clusterId?: string }): Promise<ServerLog>
  remove(): void | Promise<void>
}

const [e3, e7] = [epoch(3), epoch(7)]

/** Batches that follow `after`, as a leader makes them. */
export function batchesAfter(
  after: { readonly tail: number; readonly digest: Digest },
  count: number,
  payloadBytes = 64,
): ReplicatedBatch[] {
  const batches: ReplicatedBatch[] = []
  let { tail, digest } = after
  for (let i = 0; i < count; i++) {
    const entries = 1 + (tail % 3)
    const batch = makeBatch(digest, lsn(tail + 1), entries, Buffer.alloc(payloadBytes, 1 + ((tail * 37) % 255)))
    batches.push(batch)
    tail = lastLsnOf(batch)
    digest = batch.digest
  }
  return batches
}

export const fromStart: { tail: number; digest: Digest } = { tail: 0, digest: emptyDigest }

export const flushed = (log: ServerLog, stream: string, of: Epoch): Promise<number> =>
  new Promise((resolve, reject) =>
    log.flush(stream, of, (upTo, error) => (error === null ? resolve(upTo) : reject(error))),
  )

export const closed = (log: ServerLog): Promise<void> =>
  new Promise((resolve, reject) => log.close((error) => (error === null ? resolve() : reject(error))))

/** A segment 3 of stream `s` from LSN 1 on, with these batches, flushed. */
export async function withBatches(log: ServerLog, batches: readonly ReplicatedBatch[], stream = 's'): Promise<void> {
  log.promise(stream, e3)
  log.createSegment(stream, { epoch: e3, base: lsn(1), baseDigest: emptyDigest })
  log.append(stream, e3, batches, lsn(0))
  await flushed(log, stream, e3)
}

/** Changes one byte of a file behind everybody's back. */
export function flipByte(disk: ServerDisk, directory: string, name: string, at: number): void {
  const storage = disk.open(directory)
  const bytes = storage.readWhole(name)
  if (bytes === null) throw new Error(`${name} is not there`)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at)
  storage.writeWhole(name, bytes)
}

export const segmentFiles = (disk: ServerDisk, stream = 's', of: Epoch = e3): string[] =>
  segmentsOf(disk.open(segmentDirectory(stream, of)).list()).map(({ name }) => name)

/** Where this payload begins in the one file of segment 3. */
function placeOf(disk: ServerDisk, payload: Buffer): number {
  const [name = ''] = segmentFiles(disk)
  return disk.open(segmentDirectory('s', e3)).readWhole(name)?.indexOf(payload) ?? -1
}

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return (error as { code?: string; name: string }).code ?? (error as Error).name
  }
  return 'nothing thrown'
}

const sameBatches = (found: readonly ReplicatedBatch[], wanted: readonly ReplicatedBatch[]): void => {
  expect(found.map(({ firstLsn, entryCount }) => [firstLsn, entryCount])).toEqual(
    wanted.map(({ firstLsn, entryCount }) => [firstLsn, entryCount]),
  )
  found.forEach((batch, index) => {
    for (const part of ['payload', 'digest', 'prevDigest'] as const)
      expect(batch[part].equals(wanted[index]?.[part] ?? Buffer.alloc(0))).toBe(true)
  })
}

/** What a journal server relies on, whatever its disk is made of. */
export function serverLogContract(name: string, makeFixture: () => ServerLogFixture): void {
  const setUp = (): ServerLogFixture => {
    const fixture = makeFixture()
    onTestFinished(() => fixture.remove())
    return fixture
  }
  describe(`the log of a journal server over ${name}`, () => {
    describe('who it is', () => identityTests(setUp))
    describe('promises', () => promiseTests(setUp))
    describe('losses', () => lossTests(setUp))
    describe('segments', () => segmentTests(setUp))
    describe('cutting', () => cutTests(setUp))
    describe('dropping', () => dropTests(setUp))
    describe('damage', () => damageTests(setUp))
  })
}

type SetUp = () => ServerLogFixture

function identityTests(setUp: SetUp): void {
  it('makes an identity in an empty directory and keeps it', async () => {
    const { open } = setUp()
    const first = await open()
    expect(first.identity).toMatchObject({ serverId: 's1', clusterId: 'c1' })
    expect(first.streams()).toEqual([])
    expect((await open()).identity).toEqual(first.identity)
  })

  it('is another one once its directory was wiped', async () => {
    const [before, after] = [await setUp().open(), await setUp().open()]
    expect(after.identity.identity).not.toBe(before.identity.identity)
  })

  it('refuses the directory of another cluster and that of another server', async () => {
    const { open } = setUp()
    await open()
    await expect(open({ clusterId: 'c2' })).rejects.toMatchObject({
      code: 'foreign_cluster',
      details: { found: 'c1', wanted: 'c2' },
    })
    await expect(open({ serverId: 's2' })).rejects.toMatchObject({ code: 'unknown_identity' })
  })

  it('refuses a damaged identity, and one that was lost while its streams are there', async () => {
    const { open, disk } = setUp()
    await withBatches(await open(), batchesAfter(fromStart, 1))
    flipByte(disk, '', 'identity.json', 20)
    await expect(open()).rejects.toMatchObject({ code: 'journal_corrupt' })
    disk.open('').remove('identity.json')
    await expect(open()).rejects.toMatchObject({ code: 'journal_corrupt' })
  })

  it('refuses a segment that was made by another server', async () => {
    const [one, other] = [setUp(), setUp()]
    for (const { open } of [one, other]) await withBatches(await open(), batchesAfter(fromStart, 1))
    const [name = ''] = segmentFiles(one.disk)
    const directory = segmentDirectory('s', e3)
    one.disk.open(directory).writeWhole(name, other.disk.open(directory).readWhole(name) ?? Buffer.alloc(0))
    await expect(one.open()).rejects.toMatchObject({ code: 'foreign_database' })
  })
}

function promiseTests(setUp: SetUp): void {
  it('keeps the highest promise of each stream', async () => {
    const { open } = setUp()
    const log = await open()
    expect(log.promised('a')).toBe(0)
    log.promise('a', e3)
    log.promise('a/b: c', e7)
    log.promise('a', e7)
    log.promise('a', e7)
    const again = await open()
    expect([again.promised('a'), again.promised('a/b: c'), again.promised('A')]).toEqual([7, 7, 0])
    expect(again.streams().toSorted()).toEqual(['a', 'a/b: c'])
  })

  it('never lets one fall', async () => {
    const { open } = setUp()
    const log = await open()
    log.promise('a', e7)
    expect(() => log.promise('a', e3)).toThrow(/never falls/)
    expect(log.promised('a')).toBe(7)
  })

  it('refuses to go on when a promise is damaged or lost', async () => {
    const { open, disk } = setUp()
    await withBatches(await open(), batchesAfter(fromStart, 1))
    const [directory = ''] = disk.directories('')
    flipByte(disk, directory, 'promise.json', 10)
    await expect(open()).rejects.toMatchObject({ code: 'journal_corrupt' })
    disk.open(directory).remove('promise.json')
    await expect(open()).rejects.toMatchObject({ code: 'journal_corrupt' })
  })
}

function lossTests(setUp: SetUp): void {
  it.each([
    ['a stream', () => segmentDirectory('s', e3).split('/')[0] ?? ''],
    ['a segment', () => segmentDirectory('s', e3)],
  ])('refuses to go on without %s that it had: lost is not absent', async (_what, directory) => {
    const { open, disk } = setUp()
    const log = await open()
    await withBatches(log, batchesAfter(fromStart, 2))
    await closed(log)
    disk.remove(directory())
    await expect(open()).rejects.toMatchObject({ code: 'journal_corrupt', message: expect.stringMatching(/missing/) })
  })

  it('refuses to go on without the mark of a segment that it had', async () => {
    const { open, disk } = setUp()
    const log = await open()
    await withBatches(log, batchesAfter(fromStart, 2))
    await closed(log)
    disk.open(segmentDirectory('s', e3)).remove('segment.json')
    await expect(open()).rejects.toMatchObject({ code: 'journal_corrupt' })
  })

  it('goes on beside a segment whose creation was cut short', async () => {
    const { open, disk } = setUp()
    await withBatches(await open(), batchesAfter(fromStart, 2))
    disk.open(segmentDirectory('s', e7))
    expect((await open()).segments('s').map(({ epoch: of }) => of)).toEqual([3])
    expect(disk.directories(segmentDirectory('s', e7).split('/')[0] ?? '')).toHaveLength(1)
  })
}

function segmentTests(setUp: SetUp): void {
  it('has a segment from its creation on, empty', async () => {
    const { open } = setUp()
    const log = await open()
    const baseDigest = Buffer.alloc(16, 9)
    log.createSegment('s', { epoch: e3, base: lsn(1001), baseDigest })
    const empty = {
      epoch: 3,
      base: 1001,
      baseDigest,
      tail: 1000,
      tailDigest: baseDigest,
      flushed: 1000,
      finished: null,
    }
    expect(log.segments('s')[0]).toMatchObject(empty)
    expect((await open()).segments('s')[0]).toMatchObject({ ...empty, damaged: [], atLeast: false })
  })

  it('appends behind a base, reads back what was written, and finds it again', async () => {
    const { open } = setUp()
    const log = await open()
    const base = { tail: 1000, digest: Buffer.alloc(16, 9) }
    const batches = batchesAfter(base, 10)
    const last = lastLsnOf(batches.at(-1) as ReplicatedBatch)
    log.createSegment('s', { epoch: e3, base: lsn(1001), baseDigest: base.digest })
    log.append('s', e3, batches.slice(0, 4), lsn(1001))
    log.append('s', e3, batches.slice(4), lsn(1007))
    expect(log.segments('s')[0]).toMatchObject({ tail: last, flushed: 1000, committed: 1007 })
    sameBatches(log.read('s', e3, lsn(1001), last, 1e9), batches)
    expect(await flushed(log, 's', e3)).toBe(last)
    expect(log.segments('s')[0]).toMatchObject({ flushed: last })
    await closed(log)
    const again = await open()
    expect(again.segments('s')[0]).toMatchObject({
      tail: last,
      flushed: last,
      tailDigest: batches.at(-1)?.digest,
      committed: 1007,
      damaged: [],
      atLeast: false,
    })
    sameBatches(again.read('s', e3, lsn(1001), last, 1e9), batches)
    const more = batchesAfter({ tail: last, digest: (batches.at(-1) as ReplicatedBatch).digest }, 2)
    again.append('s', e3, more, last)
    sameBatches(again.read('s', e3, lsn(last + 1), lsn(last + 9), 1e9), more)
  })

  it('reads whole batches from the one that holds an entry, within a size, and nothing beyond the end', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 6)
    await withBatches(log, batches)
    const second = batches[1] as ReplicatedBatch
    sameBatches(log.read('s', e3, lsn(second.firstLsn + 1), second.firstLsn, 1e9), [])
    sameBatches(log.read('s', e3, lastLsnOf(second), lastLsnOf(second), 1e9), [second])
    sameBatches(log.read('s', e3, second.firstLsn, lsn(99), 65), batches.slice(1, 3))
    sameBatches(log.read('s', e3, second.firstLsn, lsn(99), 0), [second])
    expect(log.read('s', e3, lsn(50), lsn(99), 1e9)).toEqual([])
  })

  it('tells the digest at the end of a batch, and none elsewhere', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 4)
    await withBatches(log, batches)
    expect(log.digestAt('s', e3, lsn(0))).toEqual(emptyDigest)
    for (const batch of batches) expect(log.digestAt('s', e3, lastLsnOf(batch))).toEqual(batch.digest)
    const wide = batches.find(({ entryCount }) => entryCount > 1) as ReplicatedBatch
    expect(log.digestAt('s', e3, wide.firstLsn)).toBeNull()
    expect(log.digestAt('s', e3, lsn(99))).toBeNull()
  })

  it('takes no batch that does not follow', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 3)
    await withBatches(log, batches.slice(0, 1))
    expect(() => log.append('s', e3, batches.slice(2), lsn(0))).toThrow(/does not follow/)
    const other = makeBatch(Buffer.alloc(16, 5), lsn(2), 1, Buffer.alloc(8))
    expect(() => log.append('s', e3, [other], lsn(0))).toThrow(/follows something else/)
    log.append('s', e3, batches.slice(1), lsn(0))
  })

  it('goes on in further files, and keeps several segments of a stream apart', async () => {
    const { open, disk } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 8, 300_000)
    const [end] = batches.slice(-1) as [ReplicatedBatch]
    await withBatches(log, batches)
    expect(segmentFiles(disk).length).toBeGreaterThan(2)
    log.createSegment('s', { epoch: e7, base: lsn(lastLsnOf(end) + 1), baseDigest: end.digest })
    const next = batchesAfter({ tail: lastLsnOf(end), digest: end.digest }, 3, 300_000)
    log.append('s', e7, next, lastLsnOf(end))
    await flushed(log, 's', e7)
    const again = await open()
    expect(again.segments('s').map(({ epoch: of, tail }) => [of, tail])).toEqual([
      [3, lastLsnOf(end)],
      [7, lastLsnOf(next[2] as ReplicatedBatch)],
    ])
    sameBatches(again.read('s', e3, lsn(1), lastLsnOf(end), 1e9), batches)
    sameBatches(again.read('s', e7, lsn(lastLsnOf(end) + 1), lsn(99), 1e9), next)
  })

  it('takes entries of a past segment that come late', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 4)
    await withBatches(log, batches.slice(0, 2))
    log.createSegment('s', { epoch: e7, base: lsn(50), baseDigest: emptyDigest })
    log.append('s', e3, batches.slice(2), lsn(0))
    await flushed(log, 's', e3)
    sameBatches((await open()).read('s', e3, lsn(1), lsn(99), 1e9), batches)
  })
}

function cutTests(setUp: SetUp): void {
  it.each([
    ['in one file', 64],
    ['over several files', 300_000],
  ])('drops what lies above an LSN, %s, and goes on there', async (_where, bytes) => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 8, bytes)
    await withBatches(log, batches)
    for (const kept of [6, 3, 2]) {
      const end = batches[kept - 1] as ReplicatedBatch
      log.truncate('s', e3, lastLsnOf(end))
      expect(log.segments('s')[0]).toMatchObject({
        tail: lastLsnOf(end),
        tailDigest: end.digest,
        flushed: lastLsnOf(end),
      })
      sameBatches(log.read('s', e3, lsn(1), lsn(99), 1e9), batches.slice(0, kept))
    }
    const after = await open()
    sameBatches(after.read('s', e3, lsn(1), lsn(99), 1e9), batches.slice(0, 2))
    const end = batches[1] as ReplicatedBatch
    const others = batchesAfter({ tail: lastLsnOf(end), digest: end.digest }, 3, bytes + 8)
    after.append('s', e3, others, lsn(0))
    await flushed(after, 's', e3)
    sameBatches((await open()).read('s', e3, lsn(1), lsn(99), 1e9), [...batches.slice(0, 2), ...others])
  })

  it('drops what lies above an LSN that had been vouched for', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 4)
    await withBatches(log, batches)
    log.promise('s', e7)
    const end = batches[1] as ReplicatedBatch
    log.truncate('s', e3, lastLsnOf(end))
    expect((await open()).segments('s')[0]).toMatchObject({ tail: lastLsnOf(end), damaged: [], atLeast: false })
  })

  it('drops everything, and begins at the base again', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 3)
    await withBatches(log, batches)
    log.truncate('s', e3, lsn(0))
    expect(log.segments('s')[0]).toMatchObject({ tail: 0, tailDigest: emptyDigest, flushed: 0 })
    log.append('s', e3, batches, lsn(0))
    await flushed(log, 's', e3)
    sameBatches((await open()).read('s', e3, lsn(1), lsn(99), 1e9), batches)
  })

  it('cuts while a flush is under way, whose outcome then says no more than what is left', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 6)
    await withBatches(log, batches.slice(0, 2))
    log.append('s', e3, batches.slice(2), lsn(0))
    const flushing = flushed(log, 's', e3)
    const end = lastLsnOf(batches[3] as ReplicatedBatch)
    log.truncate('s', e3, end)
    expect(await flushing).toBe(end)
    const again = await open()
    expect(again.segments('s')[0]).toMatchObject({ tail: end })
  })

  it('remembers where a segment was finished', async () => {
    const { open } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 4)
    await withBatches(log, batches)
    const end = batches[2] as ReplicatedBatch
    log.finish('s', e3, lastLsnOf(end))
    for (const one of [log, await open()])
      expect(one.segments('s')[0]).toMatchObject({ tail: lastLsnOf(end), finished: lastLsnOf(end) })
  })
}

function dropTests(setUp: SetUp): void {
  it('drops past segments and files that lie below, says so to readers, and keeps the last segment', async () => {
    const { open, disk } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 4)
    const end = batches[3] as ReplicatedBatch
    const next = batchesAfter({ tail: lastLsnOf(end), digest: end.digest }, 9, 300_000)
    await withBatches(log, batches)
    log.createSegment('s', { epoch: e7, base: lsn(lastLsnOf(end) + 1), baseDigest: end.digest })
    log.append('s', e7, next, lsn(0))
    await flushed(log, 's', e7)
    const filesBefore = segmentFiles(disk, 's', e7).length
    log.dropSegments('s', lsn(lastLsnOf(next[7] as ReplicatedBatch)))
    const [left] = log.segments('s')
    expect(log.segments('s')).toHaveLength(1)
    expect(segmentFiles(disk, 's', e7).length).toBeLessThan(filesBefore)
    expect(left?.from).toBeGreaterThan(left?.base ?? 0)
    expect(codeOf(() => log.read('s', e7, left?.base ?? lsn(0), lsn(99), 1))).toBe('log_trimmed')
    const again = await open()
    expect(again.segments('s')).toHaveLength(1)
    expect(again.segments('s')[0]).toMatchObject({ from: left?.from, tail: left?.tail, damaged: [] })
    sameBatches(
      again.read('s', e7, left?.from ?? lsn(0), lsn(99), 1e9),
      next.filter(({ firstLsn }) => firstLsn >= (left?.from ?? 0)),
    )
  })

  it('deletes a stream with its promise, and no other', async () => {
    const { open } = setUp()
    const log = await open()
    await withBatches(log, batchesAfter(fromStart, 2))
    await withBatches(log, batchesAfter(fromStart, 2), 'other')
    log.deleteStream('s')
    log.deleteStream('never there')
    for (const one of [log, await open()]) {
      expect(one.streams()).toEqual(['other'])
      expect(one.promised('s')).toBe(0)
    }
  })
}

function damageTests(setUp: SetUp): void {
  const damagedLog = async (index: number, part = 10) => {
    const { open, disk } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 6)
    await withBatches(log, batches)
    const bad = batches[index] as ReplicatedBatch
    flipByte(disk, segmentDirectory('s', e3), segmentFiles(disk)[0] ?? '', placeOf(disk, bad.payload) + part)
    return { open, disk, batches, bad, log: await open() }
  }

  it('says what is damaged in the middle, counts it as there, and reads what is left on both sides', async () => {
    const { log, batches, bad } = await damagedLog(2)
    const tail = lastLsnOf(batches[5] as ReplicatedBatch)
    expect(log.segments('s')[0]).toMatchObject({
      tail,
      flushed: tail,
      tailDigest: batches[5]?.digest,
      damaged: [{ from: bad.firstLsn, to: lastLsnOf(bad) }],
      atLeast: false,
    })
    sameBatches(log.read('s', e3, lsn(1), lsn(99), 1e9), batches.slice(0, 2))
    sameBatches(log.read('s', e3, lsn(lastLsnOf(bad) + 1), lsn(99), 1e9), batches.slice(3))
    expect(codeOf(() => log.read('s', e3, bad.firstLsn, lsn(99), 1))).toBe('journal_corrupt')
    expect(log.digestAt('s', e3, lastLsnOf(bad))).toBeNull()
    const more = batchesAfter({ tail, digest: (batches[5] as ReplicatedBatch).digest }, 1)
    expect(codeOf(() => log.append('s', e3, more, lsn(0)))).toBe('journal_corrupt')
    expect(log.failed).toBeNull()
  })

  it.each([
    ['payload', 10],
    ['header', -150],
  ])('takes the last batch for damaged and not for absent: its %s was written as a whole', async (_part, at) => {
    const { log, open, disk, batches, bad } = await damagedLog(5, at)
    const end = batches[4] as ReplicatedBatch
    // cut off, so that it can be taken again, and kept aside; whatever restarts come, there was more
    for (const one of [log, await open(), await open()])
      expect(one.segments('s')[0]).toMatchObject({
        tail: lastLsnOf(end),
        tailDigest: end.digest,
        damaged: [],
        isReadOnly: false,
        atLeast: true,
      })
    expect(
      disk
        .open(segmentDirectory('s', e3))
        .list()
        .filter((name) => name.startsWith('lost-')),
    ).toHaveLength(1)
    const next = await open()
    next.append('s', e3, [bad], lsn(0))
    await flushed(next, 's', e3)
    expect(next.segments('s')[0]).toMatchObject({ atLeast: true })
    next.finish('s', e3, lastLsnOf(bad))
    expect((await open()).segments('s')[0]).toMatchObject({ tail: lastLsnOf(bad), atLeast: false })
  })

  it('is sound again once the damage was cut off, and takes the batches again', async () => {
    const { log, open, batches } = await damagedLog(2)
    log.truncate('s', e3, lastLsnOf(batches[1] as ReplicatedBatch))
    const end = lastLsnOf(batches[5] as ReplicatedBatch)
    // until it is whole again there was more than there is, whatever restarts lie between
    for (const one of [log, await open()])
      expect(one.segments('s')[0]).toMatchObject({
        damaged: [],
        isReadOnly: false,
        atLeast: true,
        tail: lastLsnOf(batches[1] as ReplicatedBatch),
      })
    const next = await open()
    next.finish('s', e3, end)
    expect(next.segments('s')[0]).toMatchObject({ atLeast: true, finished: end })
    next.append('s', e3, batches.slice(2), lsn(0))
    await flushed(next, 's', e3)
    const again = await open()
    expect(again.segments('s')[0]).toMatchObject({ damaged: [], atLeast: false, tail: end })
    sameBatches(again.read('s', e3, lsn(1), lsn(99), 1e9), batches)
  })

  it('is finished above its damage, which stays', async () => {
    const { log, open, batches, bad } = await damagedLog(2)
    const end = batches[4] as ReplicatedBatch
    log.finish('s', e3, lastLsnOf(end))
    for (const one of [log, await open()]) {
      expect(one.segments('s')[0]).toMatchObject({
        tail: lastLsnOf(end),
        tailDigest: end.digest,
        finished: lastLsnOf(end),
        damaged: [{ from: bad.firstLsn, to: lastLsnOf(bad) }],
        atLeast: false,
      })
      sameBatches(one.read('s', e3, lsn(lastLsnOf(bad) + 1), lsn(99), 1e9), batches.slice(3, 5))
    }
  })

  it('is sound once it is finished below its damage', async () => {
    const { log, open, batches } = await damagedLog(5)
    const end = lastLsnOf(batches[4] as ReplicatedBatch)
    log.finish('s', e3, end)
    for (const one of [log, await open()])
      expect(one.segments('s')[0]).toMatchObject({ tail: end, finished: end, damaged: [], atLeast: false })
  })

  it('finds damage while it reads', async () => {
    const { open, disk } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 6)
    await withBatches(log, batches)
    const bad = batches[3] as ReplicatedBatch
    flipByteInPlace(disk, placeOf(disk, bad.payload))
    sameBatches(log.read('s', e3, lsn(1), lsn(99), 1e9), batches.slice(0, 3))
    expect(log.segments('s')[0]?.damaged).toEqual([{ from: bad.firstLsn, to: lastLsnOf(bad) }])
    expect(codeOf(() => log.read('s', e3, bad.firstLsn, lsn(99), 1e9))).toBe('journal_corrupt')
    sameBatches(log.read('s', e3, lsn(lastLsnOf(bad) + 1), lsn(99), 1e9), batches.slice(4))
  })

  it('misses what had been flushed when a promise was made', async () => {
    const { open, disk } = setUp()
    const log = await open()
    const batches = batchesAfter(fromStart, 4)
    await withBatches(log, batches)
    log.promise('s', e7)
    const [name = ''] = segmentFiles(disk)
    const storage = disk.open(segmentDirectory('s', e3))
    const bytes = storage.readWhole(name) ?? Buffer.alloc(0)
    bytes.fill(0, placeOf(disk, (batches[3] as ReplicatedBatch).payload) - 152)
    storage.writeWhole(name, bytes)
    const tail = lastLsnOf(batches[2] as ReplicatedBatch)
    for (const again of [await open(), await open()])
      expect(again.segments('s')[0]).toMatchObject({ tail, atLeast: true, damaged: [] })
  })
}

function flipByteInPlace(disk: ServerDisk, at: number): void {
  const file = disk.open(segmentDirectory('s', e3)).open(segmentFiles(disk)[0] ?? '')
  const byte = Buffer.alloc(1)
  file.read(byte, at)
  file.write([Buffer.of((byte[0] ?? 0) ^ 0x10)], at)
  file.close()
}
