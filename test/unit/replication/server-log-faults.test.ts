import { describe, expect, it } from 'vitest'
import type { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { defaultJournalOptions } from '../../../src/journal/options.ts'
import type { StorageFault, StorageOperation } from '../../../src/journal/storage-faults.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { emptyDigest, lastLsnOf, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { openServerLog } from '../../../src/replication/journal-server-log.ts'
import { MemoryServerDisk } from '../../../src/replication/memory-server-disk.ts'
import { segmentDirectory } from '../../../src/replication/stored-stream.ts'
import { batchesAfter, flushed, fromStart, segmentFiles, withBatches } from '../../contract/server-log-contract.ts'

const environment = createSystemEnvironment()
const options = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.POSITIVE_INFINITY }
const e3 = epoch(3)

async function world() {
  const faults: { now: (operation: StorageOperation) => StorageFault | null } = { now: () => null }
  const disk = new MemoryServerDisk({ scheduler: environment.scheduler, fault: (operation) => faults.now(operation) })
  const open = () => openServerLog({ disk, environment, options, serverId: 's1', clusterId: 'c1' })
  return { faults, disk, open, log: await open() }
}

const codeOf = (run: () => void): unknown => {
  try {
    run()
  } catch (error) {
    return (error as { code?: string }).code
  }
  return null
}

describe('the log of a journal server on a full disk', () => {
  it.each(['enospc', 'short'] as const)(
    'stops between two batches, %s, and goes on once there is room',
    async (kind) => {
      const { faults, log, open, disk } = await world()
      const batches = batchesAfter(fromStart, 5)
      await withBatches(log, batches.slice(0, 1))
      let writes = 0
      faults.now = ({ kind: what }) => (what === 'write' && ++writes > 2 ? kind : null)
      expect(codeOf(() => log.append('s', e3, batches.slice(1), lsn(0)))).toBe('journal_full')
      expect(log.segments('s')[0]).toMatchObject({ tail: lastLsnOf(batches[2] as ReplicatedBatch) })
      expect(log.failed).toBeNull()
      faults.now = () => null
      log.append('s', e3, batches.slice(3), lsn(0))
      expect(await flushed(log, 's', e3)).toBe(lastLsnOf(batches[4] as ReplicatedBatch))
      disk.kill()
      expect((await open()).segments('s')[0]).toMatchObject({
        tail: lastLsnOf(batches[4] as ReplicatedBatch),
        damaged: [],
      })
    },
  )

  it('makes no promise and no segment half', async () => {
    const { faults, log, open, disk } = await world()
    await withBatches(log, batchesAfter(fromStart, 1))
    faults.now = ({ kind }) => (kind === 'writeWhole' ? 'enospc' : null)
    expect(codeOf(() => log.promise('s', epoch(9)))).toBe('journal_full')
    expect(codeOf(() => log.createSegment('s', { epoch: epoch(9), base: lsn(2), baseDigest: emptyDigest }))).toBe(
      'journal_full',
    )
    expect([log.promised('s'), log.segments('s').length, log.failed]).toEqual([3, 1, null])
    faults.now = () => null
    disk.kill()
    const again = await open()
    expect([again.promised('s'), again.segments('s').length]).toEqual([3, 1])
    again.promise('s', epoch(9))
    again.createSegment('s', { epoch: epoch(9), base: lsn(2), baseDigest: emptyDigest })
  })
})

describe('a damaged segment that was not flushed', () => {
  it('is on the medium before anybody is told what is left of it (R8)', async () => {
    const { log, open, disk } = await world()
    const batches = batchesAfter(fromStart, 6)
    await withBatches(log, batches.slice(0, 3))
    log.append('s', e3, batches.slice(3), lsn(0))
    const directory = segmentDirectory('s', e3)
    const storage = disk.storages.get(directory) as MemoryStorage
    const [name = ''] = segmentFiles(disk)
    const at = storage.readWhole(name)?.indexOf((batches[1] as ReplicatedBatch).payload) ?? 0
    storage.flipBit(name, 8 * (at + 5))
    disk.kill()
    const left = (await open()).segments('s')[0]
    expect(left).toMatchObject({ flushed: lastLsnOf(batches[5] as ReplicatedBatch) })
    disk.crash({ uint32: () => 0, uuid: () => '' })
    expect((await open()).segments('s')[0]).toMatchObject({ flushed: left?.flushed, damaged: left?.damaged })
  })
})

describe('a cut on a full disk', () => {
  it('does nothing, and is made once there is room', async () => {
    const { faults, log, open, disk } = await world()
    const batches = batchesAfter(fromStart, 8, 300_000)
    const end = lastLsnOf(batches[1] as ReplicatedBatch)
    await withBatches(log, batches)
    for (const refused of [1, 2]) {
      let writes = 0
      faults.now = ({ kind }) => (kind === 'writeWhole' && ++writes === refused ? 'enospc' : null)
      expect(codeOf(() => log.finish('s', e3, end))).toBe('journal_full')
      faults.now = () => null
      expect(log.read('s', e3, lsn(1), lsn(99), 1e9)).toHaveLength(8)
    }
    log.finish('s', e3, end)
    disk.kill()
    expect((await open()).segments('s')[0]).toMatchObject({ tail: end, finished: end, damaged: [] })
  })
})

describe('the log of a journal server whose disk fails', () => {
  it.each(['flush', 'write', 'writeWhole', 'flushNames'] as const)(
    'is poisoned by an error of %s, for good',
    async (bad) => {
      const { faults, log } = await world()
      const batches = batchesAfter(fromStart, 3)
      await withBatches(log, batches.slice(0, 1))
      faults.now = ({ kind }) => (kind === bad ? 'eio' : null)
      const failing = async (): Promise<void> => {
        log.append('s', e3, batches.slice(1, 2), lsn(0))
        await flushed(log, 's', e3)
        log.promise('s', epoch(9))
      }
      await expect(failing()).rejects.toMatchObject({ code: 'server_poisoned' })
      faults.now = () => null
      expect(log.failed?.code).toBe('server_poisoned')
      for (const run of [
        () => log.promise('s', epoch(11)),
        () => log.append('s', e3, batches.slice(2), lsn(0)),
        () => log.truncate('s', e3, lsn(0)),
        () => log.flush('s', e3, () => undefined),
      ])
        expect(codeOf(run)).toBe('server_poisoned')
    },
  )

  it('flushes no second time: the next process goes by what is on the medium', async () => {
    const { faults, log, open, disk } = await world()
    const batches = batchesAfter(fromStart, 3)
    await withBatches(log, batches.slice(0, 1))
    let flushes = 0
    faults.now = ({ kind }) => (kind === 'flush' && ++flushes > 0 ? 'eio' : null)
    log.append('s', e3, batches.slice(1), lsn(0))
    await expect(flushed(log, 's', e3)).rejects.toMatchObject({ code: 'server_poisoned' })
    expect(codeOf(() => log.flush('s', e3, () => undefined))).toBe('server_poisoned')
    expect(flushes).toBe(1)
    faults.now = () => null
    disk.crash({ uint32: () => 0, uuid: () => '' })
    const [segment] = (await open()).segments('s')
    expect(segment).toMatchObject({ tail: lastLsnOf(batches[0] as ReplicatedBatch), damaged: [] })
  })
})

describe('the log of a journal server that was given a part of the disk', () => {
  const mebibyte = 1 << 20
  const bounded = async (maxBytes: number) => {
    const disk = new MemoryServerDisk({ scheduler: environment.scheduler })
    const open = () => openServerLog({ disk, environment, options, serverId: 's1', clusterId: 'c1', maxBytes })
    return { disk, open, log: await open() }
  }

  it('takes nothing beyond it, promises all the same, and goes on once some was trimmed', async () => {
    const maxBytes = 8 * mebibyte
    const { log, disk, open } = await bounded(maxBytes)
    const batches = batchesAfter(fromStart, 40, 400_000)
    await withBatches(log, batches.slice(0, 1))
    let taken = 1
    while (codeOf(() => log.append('s', e3, batches.slice(taken, taken + 1), lsn(0))) === null) taken++
    expect(taken).toBeGreaterThan(10)
    expect(bytesOf(disk)).toBeLessThanOrEqual(maxBytes + 3 * mebibyte)
    const last = batches[taken - 1] as ReplicatedBatch
    expect(await flushed(log, 's', e3)).toBe(lastLsnOf(last))
    expect(codeOf(() => log.append('s', e3, batches.slice(taken, taken + 1), lsn(0)))).toBe('journal_full')
    log.promise('s', epoch(9))
    expect(log.failed).toBeNull()
    // The same after a restart; then a part of it goes.
    disk.kill()
    const again = await open()
    expect(codeOf(() => again.append('s', e3, batches.slice(taken, taken + 1), lsn(0)))).toBe('journal_full')
    again.dropSegments('s', last.firstLsn)
    again.append('s', e3, batches.slice(taken, taken + 5), lsn(0))
    expect(await flushed(again, 's', e3)).toBe(lastLsnOf(batches[taken + 4] as ReplicatedBatch))
  })
})

function bytesOf(disk: MemoryServerDisk): number {
  let bytes = 0
  for (const stream of disk.directories(''))
    for (const segment of disk.directories(stream)) {
      const storage = disk.open(`${stream}/${segment}`)
      for (const name of storage.list()) bytes += storage.openReadOnly(name).size()
    }
  return bytes
}
