import { beforeEach, describe, expect, it } from 'vitest'
import type { Channel, ChannelHandlers } from '../../../src/ipc/channel.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import type { Environment } from '../../../src/kernel/environment.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import { ClusterOperator, type ClusterOperatorOptions } from '../../../src/replication/cluster-operator.ts'
import { MemoryMetadata } from '../../../src/replication/memory-metadata-store.ts'
import { metadataKeys } from '../../../src/replication/metadata-store.ts'
import { encodeNode } from '../../../src/replication/node-record.ts'
import { encodeServer } from '../../../src/replication/registered-server.ts'
import {
  elected,
  newStreamMeta,
  opened,
  openSegmentOf,
  rolled,
  type StreamMeta,
} from '../../../src/replication/stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import { decodeSuggestion } from '../../../src/replication/suggestion.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'

const policy = { replicas: 1, ackQuorum: 1, topology: 'fanout' } as const
const peer = (id: string) => ({ id, incarnation: `${id}#1`, address: id })
const end = { tail: lsn(0), tailDigest: emptyDigest.toString('hex') }
const led = opened(elected(newStreamMeta('s'), peer('n1'), 'x'), 'y', end, { group: ['a'], policy })

let time: VirtualTime
let metadata: MemoryMetadata
let operator: ClusterOperator
let options: () => Omit<ClusterOperatorOptions, 'timeoutMs'>

beforeEach(() => {
  const random = new SeededRandom(1)
  time = new VirtualTime(random)
  const environment: Environment = {
    clock: { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs },
    scheduler: {
      after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }),
      soon: (run) => void time.after(0, run),
    },
    random,
    log: silentLog,
  }
  metadata = new MemoryMetadata(environment)
  const transport = createMemoryTransport(environment)
  options = () => ({ environment, metadata: metadata.open({}), transport, stream: 's' })
  operator = new ClusterOperator({ ...options(), timeoutMs: 5_000 })
  put(metadataKeys.stream('s'), encodeStreamMeta(led))
  for (const id of ['n1', 'n2']) {
    void transport.listen(id, () => ({ frame: () => {}, closed: () => {} }))
    put(metadataKeys.node(id), encodeNode(nodeRecord(id)))
  }
})

function put(key: string, value: string): void {
  const { revision = 0 } = metadata.image.values.get(key) ?? {}
  metadata.swap(key, revision, value, null)
}
const textOf = (key: string): string => metadata.image.values.get(key)?.value ?? ''
const suggestion = () => decodeSuggestion(textOf(metadataKeys.suggestion('s')))
const record = (): StreamMeta => decodeStreamMeta(textOf(metadataKeys.stream('s')))

/** Until it is settled; what is suggested meanwhile is done by `follow`, if it is. */
async function settled<Result>(promise: Promise<Result>, follow: () => void = () => {}): Promise<Result> {
  let isSettled = false
  const done = (): void => {
    isSettled = true
  }
  promise.then(done, done)
  await time.run(time.nowMs + 60_000, () => {
    if (suggestion()?.epoch === record().epoch) follow()
    return isSettled
  })
  return promise
}

describe('an operator', () => {
  it('seals by a suggestion, and waits until another segment is open', async () => {
    const result = await settled(operator.seal(), () => {
      expect(suggestion()).toMatchObject({ seal: true, by: 'operator', leader: null, group: null })
      put(
        metadataKeys.stream('s'),
        encodeStreamMeta(rolled(record(), 'z', { ...end, tail: lsn(5) }, { group: ['a'], policy })),
      )
    })
    expect(result).toMatchObject({ changed: true, before: { epoch: 1 }, after: { epoch: 2, base: 6 } })
  })

  it('lets another node lead, and says so under the epoch in which it does', async () => {
    const result = await settled(operator.promote('n2'), () => {
      expect(suggestion()).toMatchObject({ leader: 'n2', by: 'operator' })
      put(
        metadataKeys.stream('s'),
        encodeStreamMeta(opened(elected(record(), peer('n2'), 'z'), 'w', end, { group: ['a'], policy })),
      )
    })
    expect(result).toMatchObject({
      changed: true,
      before: { leader: 'n1', epoch: 1 },
      after: { leader: 'n2', epoch: 2 },
    })
    expect(await settled(operator.promote('n2'))).toMatchObject({ changed: false })
  })

  it('suggests again under the epoch of another leader that came in between', async () => {
    let isFirst = true
    const result = await settled(operator.promote('n2'), () => {
      const next = peer(isFirst ? 'n3' : 'n2')
      isFirst = false
      put(
        metadataKeys.stream('s'),
        encodeStreamMeta(opened(elected(record(), next, 'z'), 'w', end, { group: ['a'], policy })),
      )
    })
    expect(result).toMatchObject({ after: { leader: 'n2', epoch: 3 } })
  })

  it('withdraws what nobody does, and says who should have', async () => {
    const refused = expect.objectContaining({
      code: 'timeout',
      message: expect.stringContaining('withdrawn: no node leads'),
    })
    await expect(settled(operator.seal())).rejects.toEqual(refused)
    expect(suggestion()).toBeNull()
    expect(openSegmentOf(record())?.epoch).toBe(1)
  })

  it('says why the node that leads refuses what was suggested, and not why it refused something before', async () => {
    put(metadataKeys.lease('s'), 'n1')
    const refuse = (why: string): void => put(metadataKeys.refusal('s'), JSON.stringify({ epoch: 1, why }))
    refuse('of yesterday')
    await expect(settled(operator.seal())).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('node n1 leads under epoch 1 and has not done it'),
    })
    const again = new ClusterOperator({ ...options(), timeoutMs: 5_000 })
    await expect(settled(again.seal(), () => refuse('only a can be reached'))).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('node n1 leads under epoch 1 and refuses it: only a can be reached'),
    })
    again.close()
  })

  it('is told why a server or a node is silent: nobody listens, it turns us away, or it says nothing in time', async () => {
    const away = new CommanderError('forbidden', 'the certificate of cli is not accepted')
    const refuses = (channel: Channel): ChannelHandlers => {
      channel.close(away)
      return { frame: () => {}, closed: () => {} }
    }
    for (const id of ['absent', 'refuses', 'mute']) {
      const server = {
        id,
        identity: `${id}-1`,
        address: `server-${id}`,
        host: id,
        device: '1',
        state: 'active',
      } as const
      put(metadataKeys.server(id), encodeServer(server))
    }
    const { transport } = options()
    void transport.listen('server-mute', () => ({ frame: () => {}, closed: () => {} }))
    void transport.listen('server-refuses', refuses)
    void transport.listen('n3', refuses)
    for (const id of ['n3', 'n4']) put(metadataKeys.node(id), encodeNode(nodeRecord(id)))
    const { servers, nodes } = await settled(operator.overview())
    expect(servers.map(({ id, state, error }) => [id, state, error])).toEqual([
      ['absent', 'silent', expect.stringContaining('nobody listens at server-absent')],
      ['mute', 'silent', 'no answer from server-mute within 2 s'],
      ['refuses', 'silent', away.message],
    ])
    expect(nodes.map(({ id, state, error }) => [id, state, error])).toEqual([
      ['n1', 'up', null],
      ['n2', 'up', null],
      ['n3', 'silent', away.message],
      ['n4', 'silent', expect.stringContaining('nobody listens at n4')],
    ])
  })

  it('is told what is not there', async () => {
    await expect(settled(operator.promote('n9'))).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('n1, n2'),
    })
    put(metadataKeys.node('n3'), encodeNode(nodeRecord('n3')))
    await expect(settled(operator.promote('n3'))).rejects.toMatchObject({ code: 'not_found' })
    await expect(settled(operator.deregister('x'))).rejects.toMatchObject({ code: 'not_found' })
    await expect(settled(operator.registered(['x']))).rejects.toMatchObject({ code: 'timeout' })
    put(metadataKeys.stream('s'), encodeStreamMeta(newStreamMeta('s')))
    await expect(settled(operator.seal())).rejects.toMatchObject({ code: 'not_ready' })
  })
})
