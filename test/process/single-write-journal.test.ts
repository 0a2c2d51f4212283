import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { openMetadataStore } from '../../src/replication/open-metadata-store-adapter.ts'
import { ReplicatedStreams } from '../../src/replication/replicated-streams.ts'
import type { StreamReader, StreamWriter } from '../../src/replication/single-write-journal.ts'
import { entriesOf } from '../../src/replication/stream-entries.ts'
import { ServerProcess } from './journal-server-process.ts'

const environment = createSystemEnvironment()
const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const stream = 'orders'
let directory: string
let metadata: string
let servers: Map<string, ServerProcess>
let nodes: ReplicatedStreams[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'streams-'))
  metadata = `file:${join(directory, 'metadata')}`
  servers = new Map()
  nodes = []
})

afterEach(async () => {
  for (const node of nodes) await node.close()
  for (const server of servers.values()) await server.kill()
  rmSync(directory, { recursive: true })
})

async function startServer(id: string): Promise<void> {
  const home = join(directory, id)
  const listen = join(home, 'run', 'server.sock')
  servers.set(id, await ServerProcess.start({ directory: home, serverId: id, listen, metadata }))
}

async function openNode(id: string): Promise<ReplicatedStreams> {
  const me = { id, incarnation: environment.random.uuid(), address: join(directory, id, 'node.sock') }
  const node = await ReplicatedStreams.open({
    environment,
    metadata: await openMetadataStore(metadata, environment),
    transport: createNodeIpcTransport(environment),
    me,
    policy,
    mayShareDevice: true,
  })
  nodes.push(node)
  return node
}

async function led(node: ReplicatedStreams): Promise<StreamWriter> {
  await node.campaign(stream)
  for await (const { role } of node.observeState(stream)) if (role === 'leader') break
  return node.openStreamWriter(stream)
}

async function textsOf(reader: StreamReader, until: number): Promise<readonly string[]> {
  const texts: string[] = []
  for await (const batch of reader.read(lsn(1), { wait: true, until: lsn(until) }))
    texts.push(...entriesOf(batch).map((entry) => `${entry}`))
  return texts
}

it('streams on three processes keep what was acknowledged though any of them is killed, and go to another node', async () => {
  await Promise.all(['s1', 's2', 's3'].map(startServer))
  const [one, two] = [await openNode('one'), await openNode('two')]
  await one.createStream(stream)
  const writer = await led(one)
  const texts: string[] = []
  const append = async (to: StreamWriter, count: number): Promise<void> => {
    const more = Array.from({ length: count }, (_, n) => `entry ${texts.length + n + 1}`)
    const appended = await Promise.all(more.map((text) => to.append([Buffer.from(text)])))
    expect(appended.map(({ first }) => first)).toEqual(more.map((_, n) => texts.length + n + 1))
    texts.push(...more)
  }
  for (const id of ['s1', 's2', 's3']) {
    await append(writer, 100)
    const dying = append(writer, 100)
    await servers.get(id)?.kill()
    await dying
    await append(writer, 100)
    await startServer(id)
    await writer.roll()
  }
  const reader = await two.openStreamReader(stream)
  expect(await reader.tail('linearizable')).toBe(texts.length)
  await one.resign(stream)
  await append(await led(two), 100)
  expect(await textsOf(reader, texts.length)).toEqual(texts)
  expect(await textsOf(await one.openStreamReader(stream), texts.length)).toEqual(texts)
})
