import { beforeEach, describe, expect, it } from 'vitest'
import { decodeNode, encodeNode, type NodeRecord, type NodeStates } from '../../../src/replication/node-record.ts'
import { StateComparison } from '../../../src/replication/state-comparison.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'
import { RoleWorld } from '../role-world.ts'

type Points = readonly (readonly [lsn: number, hash: string])[]

const statesOf = (points: Points, form = 1): NodeStates => ({
  form,
  points: points.map(([lsn, hash]) => ({ lsn, hash })),
})

const record = (id: string, states?: NodeStates): NodeRecord => nodeRecord(id, states === undefined ? {} : { states })

let world: RoleWorld
let comparison: StateComparison
beforeEach(() => {
  world = new RoleWorld()
  comparison = new StateComparison(world.environment.log)
})

/** This node is `a`. */
function compare(own: NodeStates, ...others: NodeRecord[]): void {
  const all = [record('a', own), ...others]
  comparison.compare(record('a', own), new Map(all.map((one) => [one.id, one])))
}

const said = (level: string): unknown[] =>
  world.log.lines.filter((line) => line.level === level).map(({ fields }) => fields)

describe('nodes that say what state they have', () => {
  it('agree after the last entry of which both said the same, and are not compared with themselves', () => {
    const own = statesOf([
      [10, 'x'],
      [20, 'y'],
      [30, 'z'],
    ])
    compare(own, record('c', statesOf([[10, 'x']])), record('b', statesOf([[20, 'y']])))
    expect(comparison.all).toEqual([
      { node: 'b', agreedLsn: 20, difference: null },
      { node: 'c', agreedLsn: 10, difference: null },
    ])
    expect(world.log.lines).toEqual([])
  })

  it('are not compared where they speak of other entries, of none, or of states of another form', () => {
    compare(statesOf([[10, 'x']]), record('b', statesOf([[11, 'y']])), record('c'), record('d', statesOf([])))
    compare(statesOf([[10, 'x']]), record('b', statesOf([[10, 'y']], 2)))
    expect(comparison.all).toEqual([])
  })

  it('are known as long as they are there', () => {
    compare(statesOf([[10, 'x']]), record('b', statesOf([[10, 'x']])))
    compare(statesOf([[10, 'x']]))
    expect(comparison.all).toEqual([])
  })
})

describe('a node with another state', () => {
  const difference = { lsn: 20, hash: 'wrong', ownHash: 'y' }
  const own = statesOf([
    [10, 'x'],
    [20, 'y'],
    [30, 'z'],
  ])

  it('is said to have it, once, from the first entry on at which it is seen', () => {
    const other = record(
      'b',
      statesOf([
        [10, 'x'],
        [20, 'wrong'],
        [30, 'too'],
      ]),
    )
    compare(own, other)
    compare(own, other)
    expect(comparison.all).toEqual([{ node: 'b', agreedLsn: 10, difference }])
    expect(said('error')).toEqual([{ node: 'b', agreedLsn: 10, ...difference }])
  })

  it('is not said to have it again when it comes back as it went', () => {
    const other = record('b', statesOf([[20, 'wrong']]))
    compare(own, other)
    compare(own)
    expect(comparison.all).toEqual([])
    compare(own, other)
    expect(comparison.all).toEqual([{ node: 'b', agreedLsn: 0, difference }])
    expect(said('error')).toHaveLength(1)
  })

  it('agrees again once it does at a later entry, and not by what it said before', () => {
    compare(own, record('b', statesOf([[20, 'wrong']])))
    compare(own, record('b', statesOf([[10, 'x']])))
    expect(comparison.all).toEqual([{ node: 'b', agreedLsn: 0, difference }])
    compare(own, record('b', statesOf([[30, 'z']])))
    expect(comparison.all).toEqual([{ node: 'b', agreedLsn: 30, difference: null }])
    expect(said('info')).toEqual([{ node: 'b', lsn: 30 }])
  })
})

describe('what a node says of its state', () => {
  it('comes back as it was said, and without it where it is malformed: the rest counts', () => {
    const whole = record('b', statesOf([[10, 'x']]))
    expect(decodeNode(encodeNode(whole))).toEqual(whole)
    for (const states of [
      7,
      null,
      {},
      { form: 1, points: 3 },
      { form: 1, points: [null] },
      { form: 1, points: [{ lsn: 1 }] },
    ])
      expect(decodeNode(JSON.stringify({ ...record('b'), states }))).toEqual(record('b'))
  })
})
