import { join } from 'node:path'
import { pack } from 'msgpackr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entryOffsets, lengthOf } from '../../src/actions/entry-layout.ts'
import type { Database } from '../../src/client.ts'
import { applierFrames } from '../../src/ipc/applier-protocol.ts'
import type { Channel } from '../../src/ipc/channel.ts'
import { clientFrames } from '../../src/ipc/client-protocol.ts'
import { journalFrames } from '../../src/ipc/journal-protocol.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { encodeCall, key } from '../unit/gateway/gateway-world.ts'
import { fixtureApplication, RunningDatabase, until } from './running-database.ts'

let database: RunningDatabase
let client: Database
let pids: (number | null)[]

const processIds = async (): Promise<(number | null)[]> =>
  (await until('a status', () => database.status())).processes.map(({ pid }) => pid)

beforeAll(async () => {
  database = await RunningDatabase.start({ applications: [{ module: fixtureApplication('troublesome') }] })
  client = await database.connect()
  for (let i = 0; i < 20; i++) await client.execute('thing', 'a', 'count')
  pids = await processIds()
})
afterAll(() => database.remove())

interface Peer {
  readonly channel: Channel
  readonly frames: { readonly kind: number; readonly body: Buffer }[]
  isClosed: boolean
}

/** A peer that says what it likes to one of the database's sockets. */
function connectTo(socket: string): Peer {
  const transport = createNodeIpcTransport(createSystemEnvironment())
  let peer: Peer | undefined
  transport.connect(join(database.dataDir, 'run', `${socket}.sock`), (channel) => {
    const opened: Peer = { channel, frames: [], isClosed: false }
    peer = opened
    return {
      frame: (kind, body) => {
        channel.release(body.length)
        opened.frames.push({ kind, body })
      },
      closed: () => {
        opened.isClosed = true
      },
    }
  })
  return peer as Peer
}

/** Sends it to the gateway, and waits until that has looked at it: it answers what is asked after it, or cuts us off. */
async function provoke(kind: number, body: Buffer): Promise<void> {
  const peer = connectTo('gateway')
  peer.channel.send(kind, body)
  peer.channel.send(clientFrames.query, query({ ask: 'hello' }))
  await until(
    'an answer or the end',
    () => peer.isClosed || peer.frames.some(({ kind }) => kind === clientFrames.result),
  )
  peer.channel.close()
}

/** Nobody died, and everybody still does what he should. */
async function expectUnharmed(): Promise<void> {
  const before = (await client.read('thing', 'a')).revision
  const outcome = await client.execute('thing', 'a', 'count', null, { wait: 'applied' })
  expect(outcome).toMatchObject({ outcome: 'completed' })
  expect((await client.read('thing', 'a')).revision).toBe(before + 1)
  expect(await processIds()).toEqual(pids)
}

const withRequest = (request: number, body: Buffer): Buffer => {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(request)
  return Buffer.concat([head, body])
}
const query = (value: unknown): Buffer => withRequest(0x80000001, Buffer.from(pack(value)))

describe('a client that asks nonsense', () => {
  const odd: unknown[] = [
    undefined,
    null,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 60,
    'x',
    '',
    [],
    {},
    true,
  ]
  const questions: unknown[] = [
    null,
    5,
    { ask: 'everything' },
    ...odd.flatMap((value) => [
      { ask: 'events', after: value, follow: false },
      { ask: 'events', after: value, follow: true },
      { ask: 'stream', aggregate: 'thing', id: 'a', from: value, limit: 5 },
      { ask: 'stream', aggregate: 'thing', id: 'a', from: 1, limit: value },
      { ask: 'stream', aggregate: value, id: value, from: 1, limit: 5 },
      { ask: 'state', aggregate: 'thing', id: value },
      { ask: 'state', aggregate: 'thing', id: 'a', atLsn: value },
      { ask: 'state', aggregate: 'thing', id: 'a', minLsn: value },
      { ask: 'command', id: value },
      { ask: 'command', id: '999999', waitMs: value },
      { ask: 'commands', state: value, limit: value },
      { ask: 'projection', name: value, key: value },
      { ask: 'retry', id: value },
      { ask: 'skip', id: value, reason: value },
      { ask: 'rebuild', name: value },
    ]),
  ]

  it('in words is answered or cut off, and harms nobody', async () => {
    await Promise.all(questions.map((question) => provoke(clientFrames.query, query(question))))
    await expectUnharmed()
  })

  it('in bytes is cut off, and harms nobody', async () => {
    const good = encodeCall({ key: 'thing/victim', command: 'count', idempotencyKey: key('k') })
    const variations: Buffer[] = []
    for (const length of [0, 1, 71, 72, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff]) {
      const copy = Buffer.from(good)
      copy.writeUInt32LE(length, entryOffsets.length)
      variations.push(copy)
    }
    for (let end = 0; end < good.length; end += 7) variations.push(good.subarray(0, end))
    for (let at = 0; at < lengthOf(good, 0); at++) {
      const copy = Buffer.from(good)
      copy[at] = (copy[at] as number) ^ 0xff
      variations.push(copy)
    }
    await Promise.all(variations.map((variation) => provoke(clientFrames.call, variation)))
    const bodies = [Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(100, 0xc1), Buffer.alloc(1000, 0xff)]
    const kinds = [1, 2, 3, 4, 5, 6, 7, 8, 60_000]
    await Promise.all(kinds.flatMap((kind) => bodies.map((body) => provoke(kind, body))))
    await expectUnharmed()
  })
})

describe('a stranger at the sockets between the processes', () => {
  it.each([
    ['journal', journalFrames.subscribe],
    ['journal', journalFrames.drafts],
    ['journal', journalFrames.applied],
    ['applier', applierFrames.ask],
    ['supervisor', 2],
  ])('of the %s, who sends garbage as kind %d, is cut off, and harms nobody', async (socket, kind) => {
    for (const body of [
      Buffer.alloc(0),
      Buffer.alloc(3, 0xc1),
      Buffer.from(pack(null)),
      Buffer.from(pack([])),
      Buffer.alloc(5000, 0xff),
    ]) {
      if (kind === journalFrames.applied && body.length >= 16) continue
      const peer = connectTo(socket)
      peer.channel.send(kind, body)
      await until('the end of the connection or an answer', () => peer.isClosed || peer.frames.length > 0)
      peer.channel.close()
    }
    await expectUnharmed()
  })
})
