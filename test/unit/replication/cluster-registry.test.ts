import { beforeEach, describe, expect, it } from 'vitest'
import type { Scheduler } from '../../../src/kernel/environment.ts'
import type { CommanderError } from '../../../src/kernel/errors.ts'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { systemClock, systemRandom, wakefulScheduler } from '../../../src/kernel/system-environment.ts'
import { ClusterRegistry, type NewServer } from '../../../src/replication/cluster-registry.ts'
import { MemoryMetadata } from '../../../src/replication/memory-metadata-store.ts'
import type { MetadataStore } from '../../../src/replication/metadata-store.ts'
import { decodeServer, encodeServer, type RegisteredServer } from '../../../src/replication/registered-server.ts'
import { ServerRegistration } from '../../../src/replication/server-registration.ts'
import { newStreamMeta, opened, type StreamMeta } from '../../../src/replication/stream-meta.ts'
import { encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'
import { VirtualTime } from '../../../src/testing/virtual-time.ts'

const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }
const policy = { replicas: 2, ackQuorum: 2, topology: 'fanout' } as const

let store: MetadataStore
let registry: ClusterRegistry
let answersToLose: number

beforeEach(() => {
  answersToLose = 0
  const metadata = new MemoryMetadata(world)
  store = metadata.open({
    fault: ({ operation }) => (operation === 'swap' && --answersToLose >= 0 ? 'loseAnswer' : null),
  })
  registry = new ClusterRegistry(store, world)
})

const server = (id: string, change: Partial<NewServer> = {}): NewServer => ({
  id,
  identity: `${id}-1`,
  clusterId: 'shop',
  address: `tcp://${id}:7000`,
  host: `host-${id}`,
  device: '8:1',
  ...change,
})

const streamOn = (group: readonly string[]): StreamMeta =>
  opened(
    { ...newStreamMeta('orders'), epoch: epoch(1) },
    'nonce',
    { tail: lsn(0), tailDigest: '00'.repeat(16) },
    { group, policy },
  )

describe('a cluster', () => {
  it('has the id that the first one gives it, wanted or made', async () => {
    const made = await registry.join()
    expect(await registry.join()).toBe(made)
    expect(await registry.join(made)).toBe(made)
  })

  it('has one id when several come first at once', async () => {
    const ids = await Promise.all([registry.join(), registry.join(), registry.join()])
    expect(new Set(ids).size).toBe(1)
  })

  it('turns away who belongs to another one, by node and by journal server', async () => {
    await registry.join('shop')
    await expect(registry.join('bank')).rejects.toMatchObject({
      code: 'foreign_cluster',
      message: expect.stringContaining('is of cluster shop, not of bank'),
    })
    await expect(registry.register(server('a', { clusterId: 'bank' }))).rejects.toMatchObject({
      code: 'foreign_cluster',
    })
    expect(await registry.servers()).toEqual([])
  })
})

describe('a journal server', () => {
  it('is known from its first start on, and wherever it starts again', async () => {
    const { clusterId: _, ...record } = server('a')
    expect(await registry.register(server('a'))).toEqual({ ...record, state: 'active' })
    const moved = { host: 'elsewhere', address: 'tcp://elsewhere:7000' }
    await registry.register(server('a', moved))
    await registry.register(server('b'))
    expect(await registry.servers()).toMatchObject([{ ...record, ...moved, state: 'active' }, { id: 'b' }])
  })

  it('is registered once, and told so, though the answers were lost', async () => {
    await registry.join('shop')
    answersToLose = 3
    expect(await registry.register(server('a'))).toMatchObject({ identity: 'a-1' })
    expect(answersToLose).toBeLessThan(0)
    expect(await registry.servers()).toHaveLength(1)
  })

  it('that lost its disk is not taken for the one it was, until that one is deregistered', async () => {
    await registry.register(server('a'))
    const wiped = server('a', { identity: 'a-2' })
    await expect(registry.register(wiped)).rejects.toMatchObject({
      code: 'unknown_identity',
      message: expect.stringMatching(/a-2.*a-1 is registered in cluster shop.*last on host-a.*deregister a first/s),
      details: { id: 'a', identity: 'a-2', registered: 'a-1' },
    })
    expect(await registry.deregister('a', 'a-1')).toEqual({ state: 'gone' })
    expect(await registry.register(wiped)).toMatchObject({ identity: 'a-2', state: 'active' })
    await expect(registry.register(server('a'))).rejects.toMatchObject({ code: 'unknown_identity' })
  })

  it('that was deregistered does not come back when its process is started again, under any id', async () => {
    await registry.register(server('a'))
    await registry.deregister('a')
    for (const id of ['a', 'b'])
      await expect(registry.register(server(id, { identity: 'a-1' }))).rejects.toMatchObject({
        code: 'unknown_identity',
        message: expect.stringContaining('does not come back'),
      })
    expect(await registry.servers()).toEqual([])
  })

  it('that a segment names is marked as leaving, and its id is free when none does any more', async () => {
    await registry.register(server('a'))
    await store.compareAndSwap('streams/orders', 0, encodeStreamMeta(streamOn(['a', 'b'])))
    const leaving = { state: 'leaving', streams: [{ stream: 'orders', segments: 1 }] }
    expect(await registry.deregister('a')).toEqual(leaving)
    expect(await registry.deregister('a')).toEqual(leaving)
    await expect(registry.register(server('a', { identity: 'a-2' }))).rejects.toMatchObject({
      code: 'unknown_identity',
    })
    expect(await registry.register(server('a'))).toMatchObject({ state: 'leaving' })
    const { revision = 0 } = (await store.get('streams/orders')) ?? {}
    await store.compareAndSwap('streams/orders', revision, encodeStreamMeta(streamOn(['b', 'c'])))
    expect(await registry.deregister('a')).toEqual({ state: 'gone' })
    await expect(registry.deregister('a')).rejects.toMatchObject({ code: 'not_found' })
  })

  it('is deregistered by mistake by nobody who says which one is meant', async () => {
    await registry.register(server('a', { identity: 'a-2' }))
    await expect(registry.deregister('a', 'a-1')).rejects.toMatchObject({ code: 'unknown_identity' })
    expect(await registry.servers()).toMatchObject([{ identity: 'a-2', state: 'active' }])
  })

  it('is confirmed in a group as who it was when it was chosen, while it stays', async () => {
    const [a, b] = [await registry.register(server('a')), await registry.register(server('b'))]
    await registry.confirmGroup([a, b])
    await store.compareAndSwap('streams/orders', 0, encodeStreamMeta(streamOn(['a', 'b'])))
    await registry.deregister('b')
    await expect(registry.confirmGroup([a, b])).rejects.toMatchObject({
      code: 'unknown_identity',
      message: expect.stringContaining('b (b-1) is leaving'),
    })
    await registry.deregister('b')
    await expect(registry.confirmGroup([{ id: 'a', identity: 'a-2' }])).rejects.toThrow('a (a-2) lost its disk')
    await expect(registry.confirmGroup([{ id: 'c', identity: 'c-1' }])).rejects.toThrow('c (c-1) is deregistered')
  })

  it('of whose group and deregistration at the same time one fails, in every order', async () => {
    const seen = new Set<string>()
    for (let seed = 1; seed <= 60; seed++) {
      const random = new SeededRandom(seed)
      const time = new VirtualTime(random)
      const scheduler: Scheduler = {
        after: (delayMs, run) => ({ cancel: time.after(delayMs, run) }),
        soon: (run) => void time.after(0, run),
      }
      const clock = { wallMs: () => time.nowMs, monotonicMs: () => time.nowMs }
      const shared = new MemoryMetadata({ clock, scheduler }).open({ delayMs: () => random.fraction() * 10 })
      const together = new ClusterRegistry(shared, { clock, scheduler, random })
      const race = async (): Promise<string> => {
        const chosen = await together.register(server('a'))
        const later = new Promise<void>((resolve) => scheduler.after(random.fraction() * 60, resolve))
        const named = later
          .then(() => shared.compareAndSwap('streams/orders', 0, encodeStreamMeta(streamOn(['a']))))
          .then(() => together.confirmGroup([chosen]))
          .then(
            () => 'in the group',
            () => 'refused',
          )
        const [group, { state }] = await Promise.all([named, together.deregister('a')])
        return `${group}, ${state}`
      }
      let outcome = ''
      race().then((text) => {
        outcome = text
      })
      await time.run(Number.POSITIVE_INFINITY, () => outcome !== '')
      seen.add(outcome)
    }
    // Both may fail: then the server leaves, and another group is chosen. Never do both succeed.
    expect([...seen].sort()).toEqual(['in the group, leaving', 'refused, gone', 'refused, leaving'])
  })
})

describe('the registration of a journal server', () => {
  it('lets it vote from its start until it is deregistered, and says why it ends', async () => {
    const ended = Promise.withResolvers<CommanderError>()
    const registration = new ServerRegistration({ store, registry, server: server('a'), lost: ended.resolve })
    expect(registration.mayVote).toBe(false)
    await registration.begin()
    expect(registration.mayVote).toBe(true)
    await registry.deregister('a')
    expect(await ended.promise).toMatchObject({
      code: 'unknown_identity',
      message: expect.stringContaining('it was deregistered'),
    })
    expect(registration.mayVote).toBe(false)
    registration.end()
  })

  it('does not let one vote that lost its disk', async () => {
    await registry.register(server('a'))
    const wiped = server('a', { identity: 'a-2' })
    const registration = new ServerRegistration({ store, registry, server: wiped, lost: () => {} })
    await expect(registration.begin()).rejects.toMatchObject({ code: 'unknown_identity' })
    expect(registration.mayVote).toBe(false)
  })
})

describe('the record of a journal server', () => {
  const record: RegisteredServer = {
    id: 'a',
    identity: 'a-1',
    address: 'tcp://a:7000',
    host: 'host-a',
    device: '8:1',
    state: 'active',
  }

  it('is read as it was written', () => {
    expect(decodeServer(encodeServer(record))).toEqual(record)
  })

  it('is refused when it is anything else', () => {
    const text = encodeServer(record)
    const { device: _, ...without } = JSON.parse(text) as Record<string, unknown>
    for (const wrong of ['', '{', 'null', '[]', '{}', JSON.stringify(without), text.replace('active', 'away')])
      expect(() => decodeServer(wrong), wrong).toThrow(expect.objectContaining({ code: 'protocol_violation' }))
    expect(() => decodeServer(text.replace('"format":1', '"format":2'))).toThrow(
      expect.objectContaining({ code: 'unsupported_version' }),
    )
  })
})
