import { describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import type { RegisteredServer } from '../../../src/replication/registered-server.ts'
import { replicationRefusal } from '../../../src/replication/replication-refusal.ts'
import { newStreamMeta, type StreamMeta } from '../../../src/replication/stream-meta.ts'

const policy = { replicas: 2, ackQuorum: 2, topology: 'fanout' } as const
const registered = (...devices: readonly string[]): ReadonlyMap<string, RegisteredServer> =>
  new Map(
    devices.map((device, at) => {
      const id = `s${at + 1}`
      return [id, { id, identity: `${id}-1`, address: id, host: 'one', device, state: 'active' }]
    }),
  )
const open: StreamMeta = {
  ...newStreamMeta('journal'),
  epoch: epoch(1),
  segments: [{ epoch: epoch(1), base: lsn(1), baseDigest: '0'.repeat(32), group: ['s1', 's2'], policy, state: 'open' }],
}

describe('that what is flushed is replicated', () => {
  it('is promised where the members of the open segment lie on devices of their own', () => {
    expect(replicationRefusal(open, registered('8:1', '8:2'), false)).toBeNull()
  })

  it('is not where two of them share one, unless that is allowed for development; others may', () => {
    const refusal = replicationRefusal(open, registered('8:1', '8:1'), false)
    expect(refusal).toMatchObject({ code: 'policy_unsatisfiable', retryable: false })
    expect(refusal?.message).toMatch(/s1, s2 share the device 8:1 of one/)
    expect(replicationRefusal(open, registered('8:1', '8:1'), true)).toBeNull()
    expect(replicationRefusal(open, registered('8:1', '8:2', '8:2'), false)).toBeNull()
  })

  it('is not where one of them acknowledges alone, whatever is allowed for development', () => {
    const [segment] = open.segments
    const alone = { ...open, segments: [{ ...segment, policy: { ...policy, ackQuorum: 1 } }] } as StreamMeta
    for (const mayShareDevice of [false, true]) {
      const refusal = replicationRefusal(alone, registered('8:1', '8:2'), mayShareDevice)
      expect(refusal).toMatchObject({ code: 'policy_unsatisfiable', retryable: false })
      expect(refusal?.message).toContain('--ack-quorum 2')
    }
  })

  it('is not where a member is registered no more, nor where there is no open segment', () => {
    expect(replicationRefusal(open, registered('8:1'), true)?.code).toBe('policy_unsatisfiable')
    const none = replicationRefusal({ ...open, segments: [] }, registered('8:1', '8:2'), false)
    expect(none).toMatchObject({ code: 'policy_unsatisfiable', retryable: true })
    expect(replicationRefusal(null, registered('8:1', '8:2'), false)?.code).toBe('policy_unsatisfiable')
  })
})
