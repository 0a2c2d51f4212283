import { beforeEach, describe, expect, it } from 'vitest'
import type { ChannelHandlers, Transport } from '../../../src/ipc/channel.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { type Environment, silentLog } from '../../../src/kernel/environment.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import { MasterShell } from '../../../src/replication/master-shell.ts'
import { MasterTurn, masterIn } from '../../../src/replication/master-turn.ts'
import { MemoryMetadata, type MetadataFault } from '../../../src/replication/memory-metadata-store.ts'
import { decodeMessage, encodeMessage } from '../../../src/replication/message-codec.ts'
import { metadataKeys } from '../../../src/replication/metadata-store.ts'
import { encodeNode } from '../../../src/replication/node-record.ts'
import type { Orchestrator } from '../../../src/replication/orchestrator.ts'
import { encodeServer } from '../../../src/replication/registered-server.ts'
import { elected, newStreamMeta, opened } from '../../../src/replication/stream-meta.ts'
import { encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import { decodeSuggestion, encodeSuggestion, nothingSuggested } from '../../../src/replication/suggestion.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'

const leaseMs = 2000
const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const

let time: VirtualTime
let metadata: MemoryMetadata
let environment: Environment
let transport: Transport
/** For all of the masters. */
let fault: MetadataFault | null
let stopped: Set<string>
let listening: Set<string>
let orders: string[]

const put = (key: string, value: string | null): void => {
  const { revision = 0 } = metadata.image.values.get(key) ?? {}
  metadata.swap(key, revision, value, null)
}
const textOf = (key: string): string | undefined => metadata.image.values.get(key)?.value
const suggestion = () => decodeSuggestion(textOf(metadataKeys.suggestion('s')) ?? '')

beforeEach(() => {
  const random = new SeededRandom(1)
  time = new VirtualTime(random)
  environment = {
    clock: { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs },
    scheduler: {
      after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }),
      soon: (run) => void time.after(0, run),
    },
    random,
    log: silentLog,
  }
  metadata = new MemoryMetadata(environment)
  transport = createMemoryTransport(environment)
  fault = null
  stopped = new Set()
  listening = new Set()
  orders = []
  const leader = { id: 'n1', incarnation: 'n1#1', address: 'n1' }
  const end = { tail: lsn(0), tailDigest: emptyDigest.toString('hex') }
  const group = ['a', 'b', 'c']
  put(
    metadataKeys.stream('s'),
    encodeStreamMeta(opened(elected(newStreamMeta('s'), leader, 'x'), 'y', end, { group, policy })),
  )
  for (const [id, at] of [
    ['n1', 5],
    ['n2', 9],
    ['n3', 5],
  ] as const)
    node(id, at)
})

function node(id: string, end: number): void {
  put(metadataKeys.node(id), encodeNode(nodeRecord(id, { end })))
}

/** A journal server that answers how it is, unless it is stopped. */
async function server(id: string): Promise<void> {
  const identity = `${id}-1`
  put(metadataKeys.server(id), encodeServer({ id, identity, address: id, host: id, device: '1', state: 'active' }))
  if (listening.has(id)) return
  listening.add(id)
  await transport.listen(
    id,
    (channel): ChannelHandlers => ({
      frame: (kind, body) => {
        channel.release(body.length)
        const request = decodeMessage(kind, body)
        if (request.kind !== 'report' || stopped.has(id)) return
        const said = { diskBytes: 1, freeBytes: 2, streams: 1, alarms: 0 }
        const answer = encodeMessage({ kind: 'reportIs', id: request.id, server: id, identity, ...said })
        channel.send(answer.kind, ...answer.body)
      },
      closed: () => {},
    }),
  )
  put(metadataKeys.server(id), encodeServer({ id, identity, address: id, host: id, device: '1', state: 'active' }))
}

const orchestrator: Orchestrator = {
  list: async () => [{ id: 'd', state: 'ready' }],
  provision: async (count) => {
    orders.push(`provision ${count}`)
    return []
  },
  deprovision: async (id) => {
    orders.push(`deprovision ${id}`)
  },
}

function master(id: string, spares: { min: number; max: number; host: string } | null = null) {
  const store = metadata.open({ fault: () => fault })
  const turn = new MasterTurn({ environment, metadata: store, id, incarnation: id, ttlMs: leaseMs })
  const times = { leaseMs, leaderSilenceMs: leaseMs / 4, silenceMs: 3000 }
  const options = { ...times, policy, spares, mayShareDevice: false }
  const shell = new MasterShell({ environment, metadata: store, transport, turn, options, lookMs: 250, orchestrator })
  return { turn, shell }
}

const atWork = (): string | undefined => masterIn(textOf(metadataKeys.master))?.id

const pass = (ms: number): Promise<boolean> => time.run(time.nowMs + ms, () => false)

describe('the master', () => {
  beforeEach(async () => {
    for (const id of ['a', 'b', 'c', 'd']) await server(id)
  })

  it('suggests nothing while all is well', async () => {
    master('m')
    await pass(20_000)
    expect(suggestion()).toBeNull()
  })

  it('suggests another server for one that does not answer, and one that has most for a node that is gone', async () => {
    master('m')
    await pass(6_000)
    stopped.add('b')
    await pass(6_000)
    expect(suggestion()).toEqual({ ...nothingSuggested, epoch: 1, group: ['a', 'c', 'd'] })
    put(metadataKeys.node('n1'), null)
    await pass(2_000)
    expect(suggestion()).toMatchObject({ leader: 'n2', group: null, by: 'master' })
  })

  it('takes one that leaves for gone', async () => {
    master('m')
    await pass(6_000)
    put(
      metadataKeys.server('c'),
      encodeServer({ id: 'c', identity: 'c-1', address: 'c', host: 'c', device: '1', state: 'leaving' }),
    )
    await pass(6_000)
    expect(suggestion()?.group).toEqual(['a', 'b', 'd'])
  })

  it('judges nobody while the metadata store is out of reach, nor at once when it is back', async () => {
    const { shell } = master('m')
    await pass(6_000)
    fault = 'refuse'
    await pass(6_000)
    expect(shell.isAtWork).toBe(false)
    put(metadataKeys.node('n1'), null)
    stopped.add('b')
    fault = null
    await pass(1_500)
    expect(suggestion()).toBeNull()
    await pass(8_000)
    expect(suggestion()).not.toBeNull()
  })

  it('leaves an operator’s suggestion alone for a while', async () => {
    master('m')
    await pass(6_000)
    const wanted = { ...nothingSuggested, epoch: epoch(1), seal: true, by: 'operator' } as const
    put(metadataKeys.suggestion('s'), encodeSuggestion(wanted))
    stopped.add('b')
    await pass(6_000)
    expect(suggestion()).toEqual(wanted)
    await pass(9_000)
    expect(suggestion()).toMatchObject({ by: 'master', group: ['a', 'c', 'd'] })
  })

  it('is one at a time; another one goes on when it ends or is not heard of any more', async () => {
    const first = master('m1')
    await pass(1_000)
    const second = master('m2')
    await pass(5_000)
    expect([first.shell.isAtWork, second.shell.isAtWork, atWork()]).toEqual([true, false, 'm1'])
    await Promise.all([first.shell.stop(), first.turn.stop(), pass(2_000)])
    expect([second.shell.isAtWork, atWork()]).toEqual([true, 'm2'])
  })

  it('orders servers only where it is told to, and gives back those of its own host that hold nothing', async () => {
    const resting = master('m')
    put(metadataKeys.server('d'), null)
    stopped.add('b')
    await pass(8_000)
    expect(orders).toEqual([])
    await Promise.all([resting.shell.stop(), resting.turn.stop(), pass(2_000)])
    master('m', { min: 1, max: 1, host: 'd' })
    await pass(8_000)
    expect(orders).toEqual(['provision 2'])
    stopped.clear()
    for (const id of ['d', 'e', 'f']) await server(id)
    await pass(8_000)
    expect(orders).toEqual(['provision 2', 'deprovision d'])
    expect(textOf(metadataKeys.server('d'))).toBeUndefined()
  })
})
