import { describe, expect, it, onTestFinished } from 'vitest'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { defaultJournalOptions } from '../../../src/journal/options.ts'
import type { StorageFault, StorageOperation } from '../../../src/journal/storage-faults.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { createSystemEnvironment, systemScheduler } from '../../../src/kernel/system-environment.ts'
import { lastLsnOf, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { openServerLog } from '../../../src/replication/journal-server-log.ts'
import { JournalServerShell } from '../../../src/replication/journal-server-shell.ts'
import { MemoryServerDisk } from '../../../src/replication/memory-server-disk.ts'
import type { Member } from '../../../src/replication/messages.ts'
import { segmentDirectory } from '../../../src/replication/stored-stream.ts'
import { flipByte, segmentFiles } from '../../contract/server-log-contract.ts'
import { BatchChain, ScriptedLeader } from '../../fixtures/scripted-leader.ts'
import { RecordingLog } from '../ipc/recording-log.ts'

type Fault = (operation: StorageOperation) => StorageFault | null

/** Journal servers that reach each other through memory. */
function setUp(windowBytes = 1_000_000) {
  const log = new RecordingLog()
  const environment = createSystemEnvironment(log)
  const network = createMemoryTransport({ scheduler: systemScheduler, log }, { windowBytes })
  const start = async (id: string, more: { disk?: MemoryServerDisk; readWaitMs?: number } = {}) => {
    const faults: { now: Fault } = { now: () => null }
    const disk = more.disk ?? new MemoryServerDisk({ scheduler: systemScheduler, fault: (op) => faults.now(op) })
    const options = { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.MAX_SAFE_INTEGER }
    const serverLog = await openServerLog({ disk, environment, options, serverId: id, clusterId: 'c' })
    const endpoint = network.endpoint(environment)
    const failures: CommanderError[] = []
    const { readWaitMs = 60_000 } = more
    const failed = (error: CommanderError): void => void failures.push(error)
    const shell = new JournalServerShell({ log: serverLog, environment, transport: endpoint, failed, readWaitMs })
    const listener = await endpoint.listen(id, shell.accept)
    const stop = async (): Promise<void> => {
      shell.stop()
      await listener.close()
      disk.kill()
    }
    onTestFinished(stop)
    const member: Member = { id, identity: serverLog.identity.identity, address: id }
    return { disk, faults, serverLog, shell, failures, member, stop }
  }
  const leader = (server: string, ofEpoch = 1): ScriptedLeader =>
    new ScriptedLeader(network.endpoint(environment), server, ofEpoch)
  return { log, start, leader }
}

const last = (batches: readonly ReplicatedBatch[]): number => lastLsnOf(batches.at(-1) as ReplicatedBatch)

describe('a journal server', () => {
  it('opens a segment, takes batches, acknowledges them flushed, and hands them out once they are committed', async () => {
    const { start, leader } = setUp()
    await start('s1')
    const writer = leader('s1')
    const batches = new BatchChain().next(5)
    expect(await writer.open()).toMatchObject({ kind: 'segmentState', segment: { flushed: 0 } })
    expect(await writer.append(batches, { committed: 0 })).toMatchObject({
      kind: 'appended',
      acks: [{ server: 's1', flushed: last(batches) }],
    })
    await writer.expect('segmentState', { kind: 'commit', segmentEpoch: epoch(1), committed: lsn(last(batches)) })
    const read = await writer.read(1)
    if (read.kind !== 'batches') throw new Error(read.kind)
    expect(read.batches.map(({ payload }) => payload)).toEqual(batches.map(({ payload }) => payload))
  })

  it('goes on after a restart from what it had flushed and promised', async () => {
    const { start, leader } = setUp()
    const first = await start('s1')
    const chain = new BatchChain()
    const batches = chain.next(3)
    const writer = leader('s1', 4)
    await writer.open()
    await writer.append(batches)
    await first.stop()
    await start('s1', { disk: first.disk })
    const next = leader('s1', 4)
    expect(await next.append(chain.next(1), { segmentEpoch: 4 })).toMatchObject({ kind: 'appended' })
    expect(await leader('s1', 3).append(chain.next(1), { segmentEpoch: 4 })).toMatchObject({
      kind: 'refused',
      refusal: { reason: 'fenced', promised: 4 },
    })
  })

  it('shares one flush among what comes while another one is under way', async () => {
    const { start, leader } = setUp()
    const server = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const chain = new BatchChain()
    await writer.append(chain.next(1))
    let flushes = 0
    server.faults.now = ({ kind }) => {
      if (kind === 'flush') flushes++
      return null
    }
    const answers = await Promise.all(Array.from({ length: 20 }, () => writer.append(chain.next(1))))
    expect(answers.at(-1)).toMatchObject({ kind: 'appended' })
    expect(flushes).toBeLessThan(6)
  })

  it('knows after a restart where a segment was finished', async () => {
    const { start, leader } = setUp()
    const first = await start('s1')
    const writer = leader('s1')
    const batches = new BatchChain().next(4)
    await writer.open()
    await writer.append(batches)
    const [, second] = batches as [ReplicatedBatch, ReplicatedBatch]
    const tail = lastLsnOf(second)
    const finish = { kind: 'finish', segmentEpoch: epoch(1), tail, tailDigest: second.digest } as const
    expect(await writer.ask(finish)).toMatchObject({ segment: { flushed: tail, finished: true } })
    await first.stop()
    await start('s1', { disk: first.disk })
    expect(await leader('s1', 2).append(batches.slice(2), { segmentEpoch: 1 })).toMatchObject({
      refusal: { reason: 'sealed', tail },
    })
    expect(await leader('s1', 2).read(tail, { segmentEpoch: 1 })).toMatchObject({ kind: 'batches', committed: tail })
  })

  it('holds a read of what is to come, and answers it when that is committed', async () => {
    const { start, leader } = setUp()
    await start('s1')
    const [writer, reader] = [leader('s1'), leader('s1')]
    await writer.open()
    const batches = new BatchChain().next(2)
    const reading = reader.read(1)
    expect(await writer.append(batches)).toMatchObject({ kind: 'appended' })
    await writer.expect('segmentState', { kind: 'commit', segmentEpoch: epoch(1), committed: lsn(last(batches)) })
    expect(await reading).toMatchObject({ kind: 'batches', committed: last(batches) })
  })

  it('answers a held read with nothing once it has waited, and at once where nothing can come', async () => {
    const { start, leader } = setUp()
    await start('s1', { readWaitMs: 1 })
    const writer = leader('s1')
    await writer.open()
    expect(await writer.read(1)).toMatchObject({ kind: 'batches', batches: [] })
    await start('s2')
    const other = leader('s2')
    await other.open()
    const batches = new BatchChain().next(1)
    await other.append(batches)
    const { digest } = batches[0] as ReplicatedBatch
    await other.ask({ kind: 'finish', segmentEpoch: epoch(1), tail: lsn(1), tailDigest: digest })
    expect(await other.read(2)).toMatchObject({ kind: 'batches', batches: [] })
  })

  it('passes batches on along a chain and returns the acknowledgements of all', async () => {
    const { start, leader } = setUp()
    const servers = await Promise.all(['s1', 's2', 's3'].map((id) => start(id)))
    const [first, ...next] = servers.map(({ member }) => member) as [Member, ...Member[]]
    const writers = servers.map(({ member }) => leader(member.id))
    await Promise.all(writers.map((writer) => writer.open()))
    const chain = new BatchChain()
    const writer = writers[0] as ScriptedLeader
    const known = new Map<string, number>()
    while (known.size < 3 || [...known.values()].some((flushed) => flushed < chain.tail)) {
      const answer = await writer.append(chain.tail === 0 ? chain.next(3) : [], { next })
      if (answer.kind !== 'appended') throw new Error(answer.kind)
      for (const { server, flushed } of answer.acks) known.set(server, flushed)
    }
    expect(Object.fromEntries(known)).toEqual({ [first.id]: chain.tail, s2: chain.tail, s3: chain.tail })
  })

  it('refuses a batch that is not what its digest says, and writes nothing of it', async () => {
    const { start, leader } = setUp()
    const { serverLog } = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const [batch] = new BatchChain().next(1) as [ReplicatedBatch]
    const other = { ...batch, payload: Buffer.alloc(64, 9) }
    expect(await writer.append([other])).toMatchObject({ refusal: { reason: 'malformed' } })
    expect(serverLog.segments('s')[0]?.tail).toBe(0)
    expect(await writer.append([batch])).toMatchObject({ kind: 'appended' })
  })

  it('refuses what no log can take, and goes on', async () => {
    const { start, leader } = setUp(4_000_000)
    const { failures } = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const tooLarge = new BatchChain().next(1, 2_000_000)
    const requests = [
      writer.append(tooLarge),
      writer.ask({ kind: 'rewind', segmentEpoch: epoch(1), after: lsn(5) }),
      writer.open(1, 0),
      writer.ask({ kind: 'finish', segmentEpoch: epoch(7), tail: lsn(1), tailDigest: Buffer.alloc(16) }),
    ]
    for (const request of requests) expect(await request).toMatchObject({ kind: 'refused' })
    expect(await writer.append(new BatchChain().next(1))).toMatchObject({ kind: 'appended' })
    expect(failures).toEqual([])
  })

  it('cuts off a peer that sends what is no request, and no other', async () => {
    const { start, leader } = setUp()
    await start('s1')
    const [writer, stranger] = [leader('s1'), leader('s1')]
    await writer.open()
    stranger.channel.send(36, Buffer.alloc(3))
    await expect(stranger.read(1)).rejects.toMatchObject({ code: 'protocol_violation' })
    expect(await writer.append(new BatchChain().next(1))).toMatchObject({ kind: 'appended' })
  })

  it('remembers no stream that it was only asked about', async () => {
    const { start, leader } = setUp()
    const { serverLog } = await start('s1')
    expect(await leader('s1').ask({ kind: 'status' })).toMatchObject({ kind: 'statusIs', promised: 0, segments: [] })
    expect(serverLog.streams()).toEqual([])
  })

  it('tells of damage that a read meets, raises an alarm, and serves what is left', async () => {
    const { start, leader } = setUp()
    const { disk, shell } = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const batches = new BatchChain().next(4)
    await writer.append(batches)
    const bad = batches[1] as ReplicatedBatch
    const directory = segmentDirectory('s', epoch(1))
    const [name = ''] = segmentFiles(disk, 's', epoch(1))
    const at = disk.open(directory).readWhole(name)?.indexOf(bad.payload) ?? 0
    flipByte(disk, directory, name, at + 3)
    const read = await writer.read(1, { purpose: 'repair' })
    expect(read).toMatchObject({ kind: 'batches', batches: [{ firstLsn: 1 }] })
    expect(await writer.read(bad.firstLsn, { purpose: 'repair' })).toMatchObject({
      refusal: { reason: 'damaged', from: bad.firstLsn, to: lastLsnOf(bad) },
    })
    expect(shell.alarms).toBe(1)
    expect(await writer.read(lastLsnOf(bad) + 1, { purpose: 'repair' })).toMatchObject({ kind: 'batches' })
  })

  it('takes a damaged segment again once it was rewound', async () => {
    const { start, leader } = setUp()
    const first = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const batches = new BatchChain().next(4)
    await writer.append(batches)
    await first.stop()
    const bad = batches[2] as ReplicatedBatch
    const directory = segmentDirectory('s', epoch(1))
    const [name = ''] = segmentFiles(first.disk, 's', epoch(1))
    flipByte(first.disk, directory, name, (first.disk.open(directory).readWhole(name)?.indexOf(bad.payload) ?? 0) + 3)
    await start('s1', { disk: first.disk })
    const next = leader('s1', 2)
    const tailDigest = (batches[3] as ReplicatedBatch).digest
    const sealed = await next.expect('sealed', { kind: 'seal', segmentEpoch: epoch(1) })
    expect(sealed.segment).toMatchObject({ damaged: [{ from: bad.firstLsn, to: lastLsnOf(bad) }], atLeast: false })
    await next.ask({ kind: 'finish', segmentEpoch: epoch(1), tail: lsn(last(batches)), tailDigest })
    const after = lsn(bad.firstLsn - 1)
    await next.expect('segmentState', { kind: 'rewind', segmentEpoch: epoch(1), after })
    expect(await next.append(batches, { segmentEpoch: 1 })).toMatchObject({
      kind: 'appended',
      acks: [{ flushed: last(batches) }],
    })
    const read = await next.expect('batches', {
      kind: 'read',
      segmentEpoch: epoch(1),
      from: lsn(1),
      until: lsn(99),
      bytesMax: 1e6,
      purpose: 'repair',
      committed: lsn(0),
    })
    expect(read.batches).toHaveLength(4)
  })
})

describe('a journal server in trouble', () => {
  it('refuses on a full disk what it cannot write, and goes on once there is room', async () => {
    const { start, leader } = setUp()
    const server = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const chain = new BatchChain()
    await writer.append(chain.next(1))
    const batches = chain.next(3)
    let writes = 0
    server.faults.now = ({ kind }) => (kind === 'write' && ++writes > 2 ? 'enospc' : null)
    expect(await writer.append(batches)).toMatchObject({ refusal: { reason: 'full' } })
    server.faults.now = ({ kind }) => (kind === 'writeWhole' || kind === 'write' ? 'enospc' : null)
    expect(await leader('s1', 5).ask({ kind: 'seal', segmentEpoch: epoch(1) })).toMatchObject({
      refusal: { reason: 'full' },
    })
    expect(server.serverLog.promised('s')).toBe(1)
    server.faults.now = () => null
    expect(await writer.append(batches)).toMatchObject({ kind: 'appended', acks: [{ flushed: last(batches) }] })
    expect(server.failures).toEqual([])
  })

  it('ends when a flush fails, and answers nothing more', async () => {
    const { start, leader } = setUp()
    const server = await start('s1')
    const writer = leader('s1')
    await writer.open()
    server.faults.now = ({ kind }) => (kind === 'flush' ? 'eio' : null)
    await expect(writer.append(new BatchChain().next(1))).rejects.toMatchObject({ code: 'server_poisoned' })
    expect(server.failures.map(({ code }) => code)).toEqual(['server_poisoned'])
  })

  it('lets a writer send no more than its window while the disk does not flush', async () => {
    const { start, leader } = setUp(20_000)
    const server = await start('s1')
    const writer = leader('s1')
    await writer.open()
    const chain = new BatchChain()
    for (let sent = 0; sent < 30; ) {
      const appending: Promise<unknown>[] = []
      for (; writer.channel.writable; sent++) appending.push(writer.append(chain.next(1, 4000)))
      expect(appending.length).toBeLessThan(7)
      await Promise.all(appending)
      while (!writer.channel.writable) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(server.serverLog.segments('s')[0]?.flushed).toBe(chain.tail)
  })

  it('makes a reader that takes nothing wait, and cuts it off when it goes on asking', async () => {
    const { start, leader } = setUp(10_000)
    await start('s1')
    const writer = leader('s1')
    await writer.open()
    const batches = new BatchChain().next(3, 6000)
    for (const batch of batches) await writer.append([batch], { committed: lastLsnOf(batch) })
    const reader = leader('s1')
    reader.channel.release = () => undefined
    const asking = Array.from({ length: 300 }, () => reader.read(1, { bytesMax: 1, purpose: 'repair' }))
    const outcomes = await Promise.allSettled(asking)
    expect(outcomes.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'overloaded' } })
    expect(await writer.append(batches)).toMatchObject({ kind: 'appended' })
  })
})
