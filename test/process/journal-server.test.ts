import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createRoutedTransport } from '../../src/ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity, type TlsIdentity } from '../../src/ipc/tls-transport-adapter.ts'
import { epoch, lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { isIntact, lastLsnOf, type ReplicatedBatch } from '../../src/replication/batch.ts'
import { Authority, ownAddress } from '../fixtures/certificates.ts'
import { BatchChain, ScriptedLeader } from '../fixtures/scripted-leader.ts'
import { mountingRefusal, SmallDisk } from '../torture/small-disk.ts'
import { TracedWriter, tracingRefusal } from '../torture/traced-writer.ts'
import { ServerProcess, type ServerProcessOptions } from './journal-server-process.ts'

const environment = createSystemEnvironment()
let directory: string
let servers: ServerProcess[]
let leaders: ScriptedLeader[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'journal-server-'))
  servers = []
  leaders = []
})

afterEach(async () => {
  for (const leader of leaders) leader.close()
  for (const server of servers) await server.kill()
  rmSync(directory, { recursive: true })
})

type Kind = 'sockets' | 'TLS'

/** A cluster of one metadata store, whose servers are reached in one of the two ways. */
function cluster(kind: Kind) {
  const certificates = join(directory, 'certificates')
  mkdirSync(certificates, { recursive: true })
  const authority = kind === 'TLS' ? new Authority(certificates) : null
  const identity = authority === null ? null : readTlsIdentity(authority.files('node-a'))
  const addresses = new Map<string, string>()
  const optionsOf = (serverId: string): ServerProcessOptions => {
    const home = join(directory, serverId)
    const listen =
      addresses.get(serverId) ?? (kind === 'TLS' ? `tls://${ownAddress()}` : join(home, 'run', 'server.sock'))
    addresses.set(serverId, listen)
    const tls = authority === null ? {} : { tls: authority.files(serverId) }
    return { directory: home, serverId, listen, metadata: `file:${join(directory, 'metadata')}`, ...tls }
  }
  const start = async (serverId: string, more: Partial<ServerProcessOptions> = {}): Promise<ServerProcess> => {
    const server = await ServerProcess.start({ ...optionsOf(serverId), ...more })
    servers.push(server)
    return server
  }
  const leader = (serverId: string, ofEpoch: number, as: TlsIdentity | null = identity): ScriptedLeader => {
    const listen = optionsOf(serverId).listen
    const address = listen.replace('tls://', `tls://${serverId}@`)
    const transport = createRoutedTransport(createNodeIpcTransport(environment), createTlsTransport(environment, as))
    const made = new ScriptedLeader(transport, address, ofEpoch)
    leaders.push(made)
    return made
  }
  return { start, leader, authority }
}

const logOf = (serverId: string): string => join(directory, serverId, 'log')
const ids = ['s1', 's2', 's3']

describe.each<Kind>(['sockets', 'TLS'])('three journal servers reached by %s', (kind) => {
  it('keep what they acknowledged through kill -9, and give it to the next leader', async () => {
    const { start, leader } = cluster(kind)
    const running = await Promise.all(ids.map((id) => start(id)))
    const writers = ids.map((id) => leader(id, 1))
    await Promise.all(writers.map((writer) => writer.open()))
    const chain = new BatchChain()
    const written: ReplicatedBatch[] = []
    const acknowledged = [0, 0, 0]
    const appendToAll = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        const batches = chain.next(3, 800)
        written.push(...batches)
        const answers = await Promise.allSettled(writers.map((writer) => writer.append(batches)))
        answers.forEach((answer, index) => {
          if (answer.status === 'fulfilled' && answer.value.kind === 'appended')
            acknowledged[index] = answer.value.acks[0]?.flushed ?? 0
        })
      }
    }
    await appendToAll(20)
    const dying = running[1] as ServerProcess
    const more = appendToAll(20)
    await dying.kill()
    await more
    expect(acknowledged[0]).toBe(chain.tail)
    await start('s2')

    const candidates = ids.map((id) => leader(id, 2))
    const seal = { kind: 'seal', segmentEpoch: epoch(1) } as const
    const sealed = await Promise.all(candidates.map((candidate) => candidate.expect('sealed', seal)))
    for (const [index, { segment, promised }] of sealed.entries()) {
      expect(promised).toBe(2)
      expect(segment).toMatchObject({ damaged: [], atLeast: false })
      expect(segment?.flushed).toBeGreaterThanOrEqual(acknowledged[index] ?? 0)
      const end = written.find((batch) => lastLsnOf(batch) === segment?.flushed)
      expect(segment?.flushedDigest?.toString('hex')).toBe(end?.digest.toString('hex'))
    }
    expect(await (writers[0] as ScriptedLeader).append(chain.next(1))).toMatchObject({
      refusal: { reason: 'fenced', promised: 2 },
    })

    // the second one is behind: it gets the rest from what another one has
    const [first, second] = candidates as [ScriptedLeader, ScriptedLeader]
    const from = (sealed[1]?.segment?.flushed ?? 0) + 1
    const rest = await first.read(from, { segmentEpoch: 1, purpose: 'repair', bytesMax: 1e7 })
    if (rest.kind !== 'batches') throw new Error(rest.kind)
    expect(rest.batches.every(isIntact)).toBe(true)
    expect(await second.append(rest.batches, { segmentEpoch: 1 })).toMatchObject({ kind: 'appended' })
    const end = written.at(-1) as ReplicatedBatch
    const finish = { kind: 'finish', segmentEpoch: epoch(1), tail: lastLsnOf(end), tailDigest: end.digest } as const
    for (const candidate of candidates)
      expect(await candidate.ask(finish)).toMatchObject({ segment: { flushed: lastLsnOf(end), finished: true } })
  })

  it('stop when they are told to, and are there again', async () => {
    const { start, leader } = cluster(kind)
    const first = await start('s1')
    const writer = leader('s1', 1)
    await writer.open()
    const batches = new BatchChain().next(5)
    await writer.append(batches)
    expect(await first.stop()).toBe(0)
    await start('s1')
    const state = await leader('s1', 1).expect('statusIs', { kind: 'status' })
    expect(state).toMatchObject({ promised: 1, segments: [{ flushed: lastLsnOf(batches[4] as ReplicatedBatch) }] })
  })
})

describe('a journal server', () => {
  it('is refused when its directory was wiped: it is somebody else now', async () => {
    const { start } = cluster('sockets')
    await (await start('s1')).stop()
    rmSync(logOf('s1'), { recursive: true })
    const wiped = await start('s1')
    expect(await wiped.ended()).toBe(1)
    expect(wiped.output).toContain('unknown_identity')
  })

  it('is refused in a cluster that its directory is not of, and beside another one in its directory', async () => {
    const { start } = cluster('sockets')
    await start('s1')
    const second = await start('s1', { listen: join(directory, 'other', 'socket') })
    expect(await second.ended()).toBe(1)
    expect(second.output).toContain('database_locked')
    await (servers[0] as ServerProcess).stop()
    const elsewhere = await start('s1', { metadata: `file:${join(directory, 'other-metadata')}` })
    expect(await elsewhere.ended()).toBe(1)
    expect(elsewhere.output).toContain('foreign_cluster')
  })

  it('lets in nobody without a certificate of its cluster', async () => {
    const { start, leader, authority } = cluster('TLS')
    const server = await start('s1')
    mkdirSync(join(directory, 'elsewhere'))
    const stranger = readTlsIdentity(new Authority(join(directory, 'elsewhere'), 'elsewhere').files('node-a'))
    for (const ca of [stranger.ca, authority?.ca ?? ''])
      await expect(leader('s1', 1, { ...stranger, ca }).open()).rejects.toMatchObject({ code: 'forbidden' })
    expect(server.child.exitCode).toBeNull()
  })

  it('refuses batches while its disk is full, loses nothing, and goes on when there is room', async () => {
    const refusal = mountingRefusal()
    if (refusal !== null) return void process.stdout.write(`skipped: ${refusal}\n`)
    mkdirSync(join(directory, 's1'))
    const disk = SmallDisk.mount(join(directory, 's1'), 64)
    try {
      const { start, leader } = cluster('sockets')
      const server = await start('s1')
      const writer = leader('s1', 1)
      await writer.open()
      const chain = new BatchChain()
      const first = chain.next(1, 8000)
      expect(await writer.append(first)).toMatchObject({ kind: 'appended' })
      disk.fill()
      let refused: ReplicatedBatch[] = []
      for (let sent = 0; refused.length === 0 && sent < 100; sent++) {
        const batches = chain.next(4, 500_000)
        const answer = await writer.append(batches)
        if (answer.kind !== 'refused') continue
        expect(answer.refusal).toEqual({ reason: 'full' })
        refused = batches
      }
      expect(refused).toHaveLength(4)
      expect(await writer.read(1, { purpose: 'repair', bytesMax: 1 })).toMatchObject({ batches: [{ firstLsn: 1 }] })
      disk.makeRoom()
      const end = lastLsnOf(refused[3] as ReplicatedBatch)
      const state = await untilTaken(writer, refused)
      expect(state).toMatchObject({ kind: 'appended', acks: [{ flushed: end }] })
      await server.kill()
      await start('s1')
      const [segment] = (await leader('s1', 1).expect('statusIs', { kind: 'status' })).segments
      expect(segment).toMatchObject({ flushed: end, damaged: [], atLeast: false })
      for (const one of servers) await one.kill()
    } finally {
      disk.unmount()
    }
  })

  it('ends when the disk does not flush, and its successor goes by what is there', async () => {
    const refusal = tracingRefusal()
    if (refusal !== null) return void process.stdout.write(`skipped: ${refusal}\n`)
    const { start, leader } = cluster('sockets')
    const server = await start('s1')
    const writer = leader('s1', 1)
    await writer.open()
    const chain = new BatchChain()
    const known = chain.next(3)
    await writer.append(known)
    const failure = { call: 'fdatasync', error: 'EIO', when: 1 } as const
    const traced = await TracedWriter.attach(server.child.pid ?? 0, join(directory, 'calls'), failure)
    await expect(appendUntilItFails(writer, chain)).rejects.toMatchObject({ code: 'server_poisoned' })
    expect(await server.ended()).toBe(1)
    await traced.detach()
    expect(server.output).toContain('server_poisoned')
    await start('s1')
    const [segment] = (await leader('s1', 1).expect('statusIs', { kind: 'status' })).segments
    expect(segment).toMatchObject({ damaged: [], atLeast: false })
    expect(segment?.flushed).toBeGreaterThanOrEqual(lastLsnOf(known[2] as ReplicatedBatch))
  })
})

/** A spare segment that could not be made is tried again every second. */
async function untilTaken(
  writer: ScriptedLeader,
  batches: readonly ReplicatedBatch[],
): ReturnType<typeof writer.append> {
  for (;;) {
    const answer = await writer.append(batches)
    if (answer.kind !== 'refused') return answer
    expect(answer.refusal).toEqual({ reason: 'full' })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** The failure is of the first call of each thread, so some are needed to meet one. */
async function appendUntilItFails(writer: ScriptedLeader, chain: BatchChain): Promise<void> {
  for (let i = 0; i < 1000; i++)
    expect(await writer.append(chain.next(1))).toMatchObject({ kind: 'appended', segmentEpoch: lsn(1) })
}
