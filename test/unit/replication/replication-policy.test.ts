import { describe, expect, it } from 'vitest'
import { checkPolicy, sealQuorum } from '../../../src/replication/replication-policy.ts'

describe('a replication policy', () => {
  it.each([1, 2, 3, 5, 16])('has quorums of which any two of %i replicas meet', (replicas) => {
    for (let ackQuorum = 1; ackQuorum <= replicas; ackQuorum++)
      expect(ackQuorum + sealQuorum({ replicas, ackQuorum })).toBe(replicas + 1)
  })

  it('is taken as it is', () => {
    const policy = { replicas: 3, ackQuorum: 2, topology: 'chain' }
    expect(checkPolicy({ ...policy, more: 1 })).toEqual(policy)
  })

  it.each([
    [{ replicas: 0, ackQuorum: 1, topology: 'fanout' }, 'replicas'],
    [{ replicas: 17, ackQuorum: 1, topology: 'fanout' }, '1 to 16'],
    [{ replicas: 3, ackQuorum: 0, topology: 'fanout' }, 'ackQuorum'],
    [{ replicas: 3, ackQuorum: 4, topology: 'fanout' }, '1 to 3'],
    [{ replicas: 3, ackQuorum: 1.5, topology: 'fanout' }, 'ackQuorum'],
    [{ replicas: 3, ackQuorum: 2, topology: 'ring' }, 'fanout or chain'],
    [null, 'replicas'],
  ])('is refused as %j', (value, says) => {
    expect(() => checkPolicy(value)).toThrow(says)
  })
})
