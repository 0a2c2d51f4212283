import { beforeEach, describe, expect, it } from 'vitest'
import { epoch } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { type MetadataValue, metadataKeys } from '../../../src/replication/metadata-store.ts'
import { elected, newStreamMeta, type Peer } from '../../../src/replication/stream-meta.ts'
import { encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import { type StreamRecord, StreamRole, type StreamRolesOptions } from '../../../src/replication/stream-role.ts'
import { leaseMs, RolesWorld, stream } from './roles-world.ts'

const me: Peer = { id: 'me', incarnation: 'me.1', address: 'me' }
const other: Peer = { id: 'other', incarnation: 'other.1', address: 'other' }

let world: RolesWorld
let options: StreamRolesOptions
let role: StreamRole
/** What the runner is asked to do. */
let asked: string[]
let onCampaign: () => void
let isLeading: boolean

beforeEach(() => {
  world = new RolesWorld(1)
  const store = world.metadata.open()
  asked = []
  onCampaign = () => {}
  isLeading = true
  const runner = {
    campaign: () => {
      asked.push('campaign')
      onCampaign()
    },
    recordSeen: () => {},
    regroup: (_stream: string, group: readonly string[]) => void asked.push(`regroup ${group.join(' ')}`),
    leads: () => isLeading,
    resign: async () => {
      asked.push('resign')
    },
  }
  options = { store, environment: world.environment(() => true), me, leaseMs, runner }
  role = new StreamRole(options, stream)
})

const record = (at: number, leader: Peer, revision: number): MetadataValue => ({
  key: metadataKeys.stream(stream),
  value: encodeStreamMeta(elected({ ...newStreamMeta(stream), epoch: epoch(at - 1) }, leader, 'nonce')),
  revision,
})

const lease = (): string | undefined => world.metadata.image.values.get(metadataKeys.lease(stream))?.value

/** By somebody else. */
function replaceLease(value: string | null): void {
  const { revision = 0 } = world.metadata.image.values.get(metadataKeys.lease(stream)) ?? {}
  world.metadata.swap(metadataKeys.lease(stream), revision, value, null)
}

/** Ticks as often as whoever owns the role, and shows it what the watch does. */
async function pass(durationMs: number): Promise<void> {
  for (const endMs = world.time.nowMs + durationMs; world.time.nowMs < endMs; ) {
    role.leaseSeen(world.metadata.image.values.get(metadataKeys.lease(stream)) ?? null)
    role.tick()
    await world.pass(leaseMs / 20)
  }
}

describe('a role', () => {
  it('is what the latest record says, whichever comes last', () => {
    role.recordSeen(record(3, other, 10))
    role.recordSeen(record(2, me, 9))
    role.recordSeen(record(4, me, 10))
    expect(role.state).toEqual({ epoch: 3, role: 'follower', leader: other })
    role.recordSeen(record(4, me, 11))
    expect(role.state).toEqual({ epoch: 4, role: 'recovering', leader: me })
  })

  it('is that of a follower as soon as somebody was promised a higher epoch, before the record shows who', () => {
    role.recordSeen(record(4, me, 10))
    role.deposed(epoch(6))
    expect(role.state).toEqual({ epoch: 6, role: 'follower' })
    role.recordSeen(record(5, me, 11))
    expect(role.state).toEqual({ epoch: 6, role: 'follower' })
    role.recordSeen(record(6, other, 12))
    expect(role.state).toEqual({ epoch: 6, role: 'follower', leader: other })
  })

  it('stays what it was when the record cannot be read', () => {
    role.recordSeen(record(4, other, 10))
    role.recordSeen({ ...record(5, me, 11), value: 'damaged' })
    expect(role.state).toEqual({ epoch: 4, role: 'follower', leader: other })
  })

  it('is tried for with the lease in hand, not without it', async () => {
    replaceLease('another holder')
    role.want()
    await pass(leaseMs)
    expect([asked, lease()]).toEqual([[], 'another holder'])
    replaceLease(null)
    await pass(20 * leaseMs)
    expect(asked).toEqual(['campaign'])
  })

  it('is tried for less and less often by who always loses', async () => {
    onCampaign = () => {
      role.leaseSeen(world.metadata.image.values.get(metadataKeys.lease(stream)) ?? null)
      role.lost(epoch(0))
    }
    role.want()
    await pass(20 * leaseMs)
    const early = asked.length
    await pass(80 * leaseMs)
    // At random up to a quarter of the lease at first, up to eight leases in the end.
    expect(early).toBeGreaterThan(3)
    expect(asked.length).toBeLessThan(60)
  })

  it('of a leader keeps its lease, and takes it back from whoever else has it', async () => {
    role.want()
    await pass(leaseMs)
    const leading = { ...newStreamMeta(stream), epoch: epoch(1), leader: me }
    const segment = { epoch: epoch(1), base: 1, baseDigest: '00'.repeat(16), group: ['s'], state: 'open' }
    const policy = { replicas: 1, ackQuorum: 1, topology: 'fanout' }
    const value = JSON.stringify({ format: 1, ...leading, segments: [{ ...segment, policy }] })
    role.recordSeen({ key: metadataKeys.stream(stream), value, revision: 10 })
    expect(role.state.role).toBe('leader')
    await pass(5 * leaseMs)
    const mine = lease()
    expect(JSON.parse(mine ?? '')).toEqual({ id: me.id, incarnation: me.incarnation })
    replaceLease('another holder')
    await pass(leaseMs)
    expect(lease()).toBe(mine)
    await world.settled(role.resign())
    expect([asked, lease()]).toEqual([['campaign', 'resign'], undefined])
  })

  it('that was given up while it took the lease is not tried for', async () => {
    role.want()
    await world.until(() => {
      role.tick()
      return lease() !== undefined
    })
    await world.settled(role.resign())
    await pass(leaseMs)
    expect([asked, lease()]).toEqual([['resign'], undefined])
  })

  it('whose log is not repaired for long leaves the lease to others', async () => {
    role.want()
    await pass(2 * leaseMs)
    expect(lease()).toBeDefined()
    await pass(limits.recoveryPatienceMs)
    expect(lease()).toBeUndefined()
  })

  it('of a stream that does not exist is lost, or makes it, as it was told to', async () => {
    const key = metadataKeys.stream(stream)
    const { revision = 0 } = world.metadata.image.values.get(key) ?? {}
    world.metadata.swap(key, revision, null, null)
    role.want()
    await pass(4 * leaseMs)
    expect([asked, world.metadata.image.values.has(key)]).toEqual([[], false])
    const creating = new StreamRole({ ...options, createsStreams: true }, stream)
    await world.settled(role.close())
    role = creating
    role.want()
    await pass(4 * leaseMs)
    expect([asked, world.record.epoch]).toEqual([['campaign'], 0])
  })

  it('is told of a stream that the watch shows not to exist', () => {
    const told: unknown[] = []
    const runner = { ...options.runner, recordSeen: (_stream: string, seen: StreamRecord | null) => told.push(seen) }
    const other = new StreamRole({ ...options, runner }, 'invoices')
    other.allSeen()
    other.recordSeen(record(3, me, 10))
    other.allSeen()
    other.recordSeen(null)
    expect(told).toEqual([null, expect.objectContaining({ revision: 10 }), null])
  })

  it('is over with the stream, and does not begin again by itself with another one of that name', async () => {
    role.want()
    await pass(leaseMs)
    expect(lease()).toBeDefined()
    role.goneSeen()
    await world.pass(100)
    // The watch was late: the stream is there.
    expect(lease()).toBeDefined()
    const key = metadataKeys.stream(stream)
    const { revision = 0 } = world.metadata.image.values.get(key) ?? {}
    world.metadata.swap(key, revision, null, null)
    role.goneSeen()
    await pass(leaseMs)
    expect([lease(), role.record]).toEqual([undefined, null])
    world.metadata.swap(key, 0, encodeStreamMeta({ ...newStreamMeta(stream), epoch: epoch(8) }), null)
    role.recordSeen(world.metadata.image.values.get(key) ?? null)
    await pass(4 * leaseMs)
    expect([asked, role.state]).toEqual([['campaign'], { epoch: 8, role: 'follower' }])
  })

  it('looks again whether the stream is gone when the store did not say', async () => {
    role.want()
    await pass(leaseMs)
    let isFaulty = true
    const seen: (StreamRecord | null)[] = []
    const store = world.metadata.open({ fault: () => (isFaulty ? 'refuse' : null) })
    const runner = {
      ...options.runner,
      recordSeen: (_stream: string, record: StreamRecord | null) => seen.push(record),
    }
    role = new StreamRole({ ...options, store, runner }, stream)
    role.goneSeen()
    await pass(leaseMs)
    expect(seen).toEqual([])
    isFaulty = false
    await pass(leaseMs)
    expect(seen).toEqual([expect.objectContaining({ revision: expect.any(Number) })])
  })
})
