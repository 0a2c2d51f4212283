import { describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import type { SegmentState } from '../../../src/replication/messages.ts'
import { sealGoal } from '../../../src/replication/seal-goal.ts'
import type { OpenSegment } from '../../../src/replication/stream-meta.ts'
import { segmentState } from './chain-of-batches.ts'

const group = ['a', 'b', 'c']
const segmentOf = (ackQuorum: number): OpenSegment => ({
  epoch: epoch(1),
  base: lsn(1),
  baseDigest: emptyDigest.toString('hex'),
  group,
  policy: { replicas: 3, ackQuorum, topology: 'fanout' },
  state: 'open',
})
const goal = (ackQuorum: number, ...states: (SegmentState | null)[]): number | null =>
  sealGoal(segmentOf(ackQuorum), new Map(states.map((state, index) => [group[index] as string, state])))
const damaged = (from: number, to: number) => [{ from: lsn(from), to: lsn(to) }]

describe('the end of a sealed segment', () => {
  it('is the highest entry that anybody has, as soon as a seal quorum has told', () => {
    expect(goal(2, segmentState(5))).toBeNull()
    expect(goal(2, segmentState(5), segmentState(7))).toBe(7)
    expect(goal(3, segmentState(5))).toBe(5)
    expect(goal(1, segmentState(5), segmentState(7))).toBeNull()
    expect(goal(1, segmentState(5), null, segmentState(7))).toBe(7)
  })

  it('is before the first entry where nobody has any', () => {
    expect(goal(2, null, segmentState(0))).toBe(0)
  })

  it('waits for another server where damage may hide more', () => {
    const short = segmentState(5, { atLeast: true })
    expect(goal(2, short, segmentState(4))).toBeNull()
    expect(goal(2, short, segmentState(4), segmentState(3))).toBe(5)
    expect(goal(3, short)).toBeNull()
  })

  it('counts a server whose damage lies before its end', () => {
    expect(goal(2, segmentState(5, { damaged: damaged(2, 3) }), segmentState(4))).toBe(5)
  })

  it('lies before an entry of which the last copy is lost, only where it was surely not acknowledged', () => {
    const lost = segmentState(5, { damaged: damaged(5, 5) })
    expect(goal(2, lost, segmentState(4))).toBeNull()
    expect(goal(2, lost, segmentState(4), segmentState(3))).toBe(4)
    expect(goal(3, lost, segmentState(4))).toBe(4)
    expect(goal(1, lost, segmentState(4), segmentState(4))).toBeNull()
  })

  it('finds each entry where it is whole', () => {
    const a = segmentState(6, { damaged: damaged(2, 3) })
    const b = segmentState(6, { damaged: damaged(4, 5) })
    expect(goal(2, a, b)).toBe(6)
    expect(goal(2, a, segmentState(6, { damaged: damaged(3, 4) }))).toBeNull()
  })
})
