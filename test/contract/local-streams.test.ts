import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import type { StorageFault, StorageOperation } from '../../src/journal/storage-faults.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment, systemScheduler } from '../../src/kernel/system-environment.ts'
import { openFileStreams } from '../../src/replication/file-streams.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { type LocalHost, type LocalStreams, localHost } from '../../src/replication/local-streams.ts'
import { MemoryMetadata } from '../../src/replication/memory-metadata-store.ts'
import { MemoryServerDisk } from '../../src/replication/memory-server-disk.ts'
import type { StreamWriter } from '../../src/replication/single-write-journal.ts'
import { entriesOf } from '../../src/replication/stream-entries.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const environment = createSystemEnvironment()
const stream = 'orders'
const journal = { segmentBytes: 1 << 20, initZero: false }

async function led(node: LocalStreams): Promise<StreamWriter> {
  await node.campaign(stream)
  for await (const { role } of node.observeState(stream)) if (role === 'leader') break
  return node.openStreamWriter(stream)
}

async function textsOf(node: LocalStreams): Promise<readonly string[]> {
  const texts: string[] = []
  const reader = await node.openStreamReader(stream)
  for await (const batch of reader.read(lsn(1))) texts.push(...entriesOf(batch).map((one) => `${one}`))
  return texts
}

const append = (writer: StreamWriter, text: string) => writer.append([Buffer.from(text)])

it('streams in a directory are there when it is opened again, by one process at a time', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'file-streams-'))
  onTestFinished(() => fs.rmSync(directory, { recursive: true }))
  const first = await openFileStreams({ environment, directory, journal })
  await expect(openFileStreams({ environment, directory, journal })).rejects.toMatchObject({ code: 'database_locked' })
  const node = first.node('one')
  await node.createStream(stream)
  const writer = await led(node)
  for (const text of ['a', 'b']) await append(writer, text)
  await writer.roll()
  await append(writer, 'c')
  await first.close()
  const second = await openFileStreams({ environment, directory, journal })
  const again = second.node('one', { leaseMs: 400 })
  expect(await again.listStreams()).toEqual([stream])
  expect(await textsOf(again)).toEqual(['a', 'b', 'c'])
  expect(await append(await led(again), 'd')).toMatchObject({ first: 4, epoch: 3 })
  await second.close()
})

/** A host on a virtual disk that loses power on demand; what agreement it has outlives that. */
async function virtualHost(disk: MemoryServerDisk, metadata: MemoryMetadata): Promise<LocalHost> {
  const options = { ...defaultJournalOptions, ...journal, maxBytes: Number.MAX_SAFE_INTEGER }
  const log = await openServerLog({ disk, environment, options, serverId: 'local', clusterId: 'local' })
  return localHost(
    environment,
    log,
    () => metadata.open(),
    async () => {},
  )
}

it('streams on one host hold what was acknowledged when the power fails, and nothing but what was appended', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed)
    const disk = new MemoryServerDisk({ scheduler: systemScheduler })
    const metadata = new MemoryMetadata(environment)
    const appended: string[] = []
    let acknowledged = 0
    for (let life = 1; life <= 3; life++) {
      const host = await virtualHost(disk, metadata)
      const node = host.node('one', { leaseMs: 100 })
      if (life === 1) await node.createStream(stream)
      const writer = await led(node)
      const found = await textsOf(node)
      expect(found, `seed ${seed}`).toEqual(appended.slice(0, found.length))
      expect(found.length, `seed ${seed}`).toBeGreaterThanOrEqual(acknowledged)
      appended.length = found.length
      for (let n = random.integer(1, 10); n > 0; n--) {
        appended.push(`${life}: ${n}`)
        const { last } = await append(writer, appended.at(-1) as string)
        acknowledged = last
        if (random.chance(0.3)) await writer.roll()
      }
      for (let n = random.integer(0, 5); n > 0; n--) {
        appended.push(`${life}: ${n}, under way`)
        void append(writer, appended.at(-1) as string).catch(() => {})
      }
      disk.crash(random)
      await node.close()
    }
  }
})

it('a stream on one host whose disk does not flush has no leader any more, and what was under way is indeterminate', async () => {
  let fault: (operation: StorageOperation) => StorageFault | null = () => null
  const disk = new MemoryServerDisk({ scheduler: systemScheduler, fault: (operation) => fault(operation) })
  const metadata = new MemoryMetadata(environment)
  const host = await virtualHost(disk, metadata)
  const node = host.node('one', { leaseMs: 100 })
  await node.createStream(stream)
  const writer = await led(node)
  await append(writer, 'a')
  fault = ({ kind }) => (kind === 'flush' ? 'eio' : null)
  await expect(append(writer, 'b')).rejects.toMatchObject({
    code: 'indeterminate',
    cause: { code: 'server_poisoned' },
  })
  await expect(append(writer, 'c')).rejects.toMatchObject({ code: 'not_leader' })
  expect(node.state(stream).role).not.toBe('leader')
  await node.close()
})
