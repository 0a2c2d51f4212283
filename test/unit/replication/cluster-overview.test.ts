import { expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import type { ClusterFacts } from '../../../src/replication/cluster-facts.ts'
import { overviewOf } from '../../../src/replication/cluster-overview.ts'
import type { SegmentState } from '../../../src/replication/messages.ts'
import type { NodeRecord, NodeStates } from '../../../src/replication/node-record.ts'
import type { SurveyedServer } from '../../../src/replication/server-survey.ts'
import { elected, newStreamMeta, opened, rolled } from '../../../src/replication/stream-meta.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'

const policy = { replicas: 2, ackQuorum: 2, topology: 'fanout' } as const
const leader = { id: 'n1', incarnation: 'n1#2', address: 'n1' }
const endAt = (tail: number) => ({ tail: lsn(tail), tailDigest: emptyDigest.toString('hex') })
const meta = rolled(
  opened(elected(newStreamMeta('s'), leader, 'x'), 'y', endAt(0), { group: ['a', 'b'], policy }),
  'z',
  endAt(10),
  { group: ['a', 'c'], policy },
)

const statesOf = (...points: (readonly [lsn: number, hash: string])[]): NodeStates => ({
  form: 1,
  points: points.map(([at, hash]) => ({ lsn: at, hash })),
})
const node = (id: string, incarnation: string, end: number): NodeRecord => nodeRecord(id, { incarnation, end })
const server = (id: string, state: 'active' | 'leaving' = 'active'): ClusterFacts['servers'][number] => ({
  ...{ id, state, identity: `${id}-1`, address: id, host: id, device: '1' },
})
const facts: ClusterFacts = {
  clusterId: 'shop',
  meta,
  isLeased: true,
  nodes: [node('n2', 'n2#1', 12), node('n1', 'n1#2', 20)],
  servers: [server('c'), server('b', 'leaving'), server('a')],
  master: { id: 'n2' },
}

const segment = (segmentEpoch: number, base: number, flushed: number, committed: number): SegmentState => ({
  segmentEpoch: epoch(segmentEpoch),
  base: lsn(base),
  baseDigest: emptyDigest,
  flushed: lsn(flushed),
  flushedDigest: null,
  committed: lsn(committed),
  atLeast: false,
  damaged: [],
  finished: false,
})
const said = (id: string, segments: readonly SegmentState[]): SurveyedServer => {
  const from = { id: 1, server: id, identity: `${id}-1` }
  const report = { ...from, kind: 'reportIs', diskBytes: 7, freeBytes: 8, streams: 1, alarms: 0 } as const
  return { report, streams: new Map([['s', { ...from, kind: 'statusIs', stream: 's', promised: epoch(2), segments }]]) }
}

const why = {
  serverError: ({ address }: { readonly address: string }) => `nobody listens at ${address}`,
  nodeError: (id: string) => `node ${id} is away`,
}

it('is made of what the record says and of what the servers say', () => {
  const servers = new Map([
    ['a', said('a', [segment(1, 1, 10, 10), segment(2, 11, 19, 18)])],
    // Of an epoch that the record does not know: it counts for nothing.
    ['b', said('b', [segment(1, 1, 10, 10), segment(9, 11, 99, 99)])],
  ])
  const nodes = new Map([['n1', { committed: 19 }]])
  expect(
    overviewOf(facts, 's', { ...why, server: (id) => servers.get(id) ?? null, node: (id) => nodes.get(id) ?? null }),
  ).toMatchObject({
    clusterId: 'shop',
    master: 'n2',
    stream: {
      epoch: 2,
      leader: { id: 'n1' },
      isLed: true,
      committed: 19,
      segments: 2,
      open: { base: 11, group: ['a', 'c'] },
    },
    nodes: [
      { id: 'n1', role: 'leader', state: 'up', end: 20, lag: 0, error: null },
      { id: 'n2', role: 'follower', state: 'silent', end: 12, lag: 7, error: 'node n2 is away' },
    ],
    servers: [
      {
        id: 'a',
        state: 'up',
        isInGroup: true,
        tail: 19,
        lag: 0,
        diskBytes: 7,
        error: null,
        segments: [
          { epoch: 1, state: 'sealed' },
          { epoch: 2, state: 'open' },
        ],
      },
      {
        id: 'b',
        state: 'leaving',
        isInGroup: false,
        tail: null,
        segments: [
          { epoch: 1, isNamed: true },
          { epoch: 9, state: 'unknown', isNamed: false },
        ],
      },
      {
        id: 'c',
        state: 'silent',
        isInGroup: true,
        tail: null,
        lag: null,
        diskBytes: null,
        error: 'nobody listens at c',
        segments: [{ epoch: 2, isNamed: true, flushed: null }],
      },
    ],
  })
})

it('says that nobody leads where the lease is over, the segment of the epoch is not open yet, or the leader is silent', () => {
  const up = { ...why, server: () => null, node: () => ({ committed: null }) }
  const nobody = { stream: { leader: { id: 'n1' }, isLed: false } }
  expect(overviewOf({ ...facts, isLeased: false }, 's', up)).toMatchObject(nobody)
  expect(overviewOf({ ...facts, meta: elected(meta, leader, 'w') }, 's', up)).toMatchObject(nobody)
  expect(overviewOf(facts, 's', up)).toMatchObject({ stream: { isLed: true } })
  expect(overviewOf(facts, 's', { ...up, node: () => null })).toMatchObject(nobody)
  expect(overviewOf({ ...facts, meta: null, nodes: [] }, 's', up)).toMatchObject({ stream: null, nodes: [] })
})

it('shows the states of the nodes after the newest entry of which all of them say theirs', () => {
  const silent = { ...why, server: () => null, node: () => null }
  const shown = (...states: (NodeStates | undefined)[]): unknown[] => {
    const nodes = states.map((one, i) => ({ ...node(`n${i}`, 'x', 1), ...(one === undefined ? {} : { states: one }) }))
    return overviewOf({ ...facts, nodes }, 's', silent).nodes.map(({ attested }) => attested)
  }
  const both = shown(statesOf([3, 'x'], [5, 'y'], [9, 'z']), statesOf([5, 'w'], [3, 'x'], [11, 'v']))
  expect(both).toEqual([
    { lsn: 5, hash: 'y' },
    { lsn: 5, hash: 'w' },
  ])
  expect(shown(statesOf([3, 'x']))).toEqual([{ lsn: 3, hash: 'x' }])
  expect(shown(statesOf([3, 'x']), statesOf([5, 'y']))).toEqual([null, null])
  expect(shown(statesOf([3, 'x']), undefined)).toEqual([null, null])
  expect(shown(statesOf([3, 'x']), { ...statesOf([3, 'x']), form: 2 })).toEqual([null, null])
  expect(shown()).toEqual([])
})
