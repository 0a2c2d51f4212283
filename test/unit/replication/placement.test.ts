import { describe, expect, it } from 'vitest'
import { type Candidate, chooseGroup } from '../../../src/replication/placement.ts'

const server = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  id,
  host: id,
  device: id,
  isAlive: true,
  segments: 0,
  bytes: 0,
  ...more,
})

describe('a group', () => {
  it('keeps who is in it and alive, and fills up with those that have least to do', () => {
    const all = [
      server('a', { segments: 9 }),
      server('b', { isAlive: false }),
      server('c', { segments: 2 }),
      server('d'),
    ]
    expect(chooseGroup(all, 2, ['a', 'b'], false)).toEqual(['a', 'd'])
  })

  it('prefers hosts of their own', () => {
    const all = [server('a'), server('b', { host: 'a' }), server('c', { segments: 5 })]
    expect(chooseGroup(all, 2, ['a'], false)).toEqual(['a', 'c'])
    expect(chooseGroup(all.slice(0, 2), 2, ['a'], false)).toEqual(['a', 'b'])
  })

  it('never has two on one device, unless that is allowed', () => {
    const all = [server('a'), server('b', { host: 'a', device: 'a' })]
    expect(chooseGroup(all, 2, [], false)).toBeNull()
    expect(chooseGroup(all, 2, [], true)).toEqual(['a', 'b'])
  })

  it('is none where there are too few servers', () => {
    expect(chooseGroup([server('a'), server('b', { isAlive: false })], 2, ['a'], false)).toBeNull()
  })
})
