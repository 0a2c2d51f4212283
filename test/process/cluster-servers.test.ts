import { mkdirSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import {
  createSystemEnvironment,
  systemClock,
  systemRandom,
  wakefulScheduler,
} from '../../src/kernel/system-environment.ts'
import { ClusterRegistry } from '../../src/replication/cluster-registry.ts'
import { metadataKeys } from '../../src/replication/metadata-store.ts'
import { openSegmentOf, type StreamMeta } from '../../src/replication/stream-meta.ts'
import { decodeStreamMeta } from '../../src/replication/stream-meta-codec.ts'
import { ScriptedLeader } from '../fixtures/scripted-leader.ts'
import { RecordedClients } from '../torture/cluster/recorded-clients.ts'
import { TorturedCluster } from '../torture/cluster/tortured-cluster.ts'
import { mountingRefusal, SmallDisk } from '../torture/small-disk.ts'
import { until } from './running-database.ts'

const stream = 'database'
let cluster: TorturedCluster
let load: RecordedClients

beforeEach(() => {
  cluster = new TorturedCluster(null, 2000)
  load = new RecordedClients(1)
})
afterEach(async () => {
  load.abandon()
  await cluster.remove()
})

const answers = (count: number): Promise<void> => load.more(count)

/** All calls have ended, and the whole history is as it must be. */
async function expectGood(): Promise<void> {
  await load.pause()
  expect(load.violations).toEqual([])
  expect(await cluster.clients.check(load)).toEqual([])
}

const withRegistry = <Value>(use: (registry: ClusterRegistry) => Promise<Value>): Promise<Value> =>
  cluster.withMetadata((store) =>
    use(new ClusterRegistry(store, { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom })),
  )

const record = (): Promise<StreamMeta> =>
  cluster.withMetadata(async (store) => decodeStreamMeta((await store.get(metadataKeys.stream(stream)))?.value ?? ''))

const openGroup = async (): Promise<readonly string[]> => openSegmentOf(await record())?.group ?? []

describe('a journal server that comes back with an empty directory', () => {
  it('is not let in and says why, is not counted, and is let in as somebody new once the former one is deregistered', async () => {
    await cluster.start()
    load.start(await cluster.clients.connections())
    await answers(30)
    const registered = (await withRegistry((registry) => registry.servers())).find(({ id }) => id === 's1')

    await cluster.server('s1').kill()
    rmSync(cluster.directoryOf('s1'), { recursive: true })
    const wiped = await cluster.startServer('s1')
    expect(await wiped.ended()).toBe(1)
    expect(wiped.output).toContain('"code":"unknown_identity"')
    expect(wiped.output).toContain(`${registered?.identity} is registered in cluster`)
    expect(wiped.output).toContain('its disk was lost, or two servers have one id. It does not vote')
    await answers(30)

    // With one other of the three nothing is acknowledged, however often the wiped one is started.
    await cluster.server('s2').kill()
    const client = await cluster.clients.connect()
    const waits = client.execute('ledger', 'waiting', 'refuse', { n: -1, amount: 0 }, { timeoutMs: 2500 })
    const isRefused = expect(waits).rejects.toMatchObject({ code: 'timeout' })
    const again = await cluster.startServer('s1')
    expect(await again.ended()).toBe(1)
    await isRefused
    await cluster.startServer('s2')
    await answers(30)

    // Its place goes to another one, and when no segment names it any more, its name is free.
    await cluster.startServer('s4')
    expect(await withRegistry((registry) => registry.deregister('s1'))).toMatchObject({ state: 'leaving' })
    // Whoever leads next begins another segment.
    await (await cluster.leader()).leader.signal('journal-writer', 'SIGKILL')
    await answers(30)
    await until('the former one to be gone', async () => {
      const { state } = await withRegistry((registry) => registry.deregister('s1'))
      return state === 'gone'
    })
    expect(await openGroup()).toEqual(expect.arrayContaining(['s2', 's3', 's4']))
    const fresh = await cluster.startServer('s1')
    const servers = await withRegistry((registry) => registry.servers())
    expect(servers.find(({ id }) => id === 's1')?.identity).not.toBe(registered?.identity)
    expect(fresh.child.exitCode).toBeNull()
    await expectGood()
  })
})

describe('a journal server whose disk is full', () => {
  it('is left behind by the others, and catches up when there is room', async () => {
    const refusal = mountingRefusal()
    if (refusal !== null) return void process.stdout.write(`skipped: ${refusal}\n`)
    mkdirSync(cluster.directoryOf('s1'))
    const disk = SmallDisk.mount(cluster.directoryOf('s1'), 96)
    const transport = createNodeIpcTransport(createSystemEnvironment())
    const leaders: ScriptedLeader[] = []
    /** What a server has on its disk of the segment that is open. */
    const flushedAt = async (id: string): Promise<number> => {
      const leader = new ScriptedLeader(transport, cluster.addressOf(id), 0, stream)
      leaders.push(leader)
      const { segments } = await leader.expect('statusIs', { kind: 'status' })
      leader.close()
      return Math.max(...segments.map(({ flushed }) => flushed))
    }
    try {
      await cluster.start()
      load.start(await cluster.clients.connections())
      await answers(100)
      const full = await flushedAt('s1')
      disk.fill()
      await until('the full one to fall behind', async () => {
        disk.fill()
        await answers(50)
        const [here, there] = [await flushedAt('s1'), await flushedAt('s2')]
        return there > full + 1000 && here < there - 500
      })
      await answers(200)
      disk.makeRoom()
      await load.pause()
      await until('the full one to have all', async () => (await flushedAt('s1')) >= (await flushedAt('s2')))
      await expectGood()
    } finally {
      for (const leader of leaders) leader.close()
      for (const node of cluster.nodes) await node.killAll()
      await cluster.server('s1').kill()
      disk.unmount()
    }
  })
})
