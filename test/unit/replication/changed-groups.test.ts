import { describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import { careWish } from '../../../src/replication/group-care.ts'
import { planGroup } from '../../../src/replication/group-plan.ts'
import type { GroupView } from '../../../src/replication/group-view.ts'
import type { Wish } from '../../../src/replication/leader-state.ts'
import type { Suggestion } from '../../../src/replication/master-state.ts'
import { wantedPlacement } from '../../../src/replication/placement-change.ts'
import type { RegisteredServer } from '../../../src/replication/registered-server.ts'
import {
  elected,
  type LogEnd,
  newStreamMeta,
  type OpenSegment,
  opened,
  openSegmentOf,
  rolled,
  type StreamMeta,
} from '../../../src/replication/stream-meta.ts'
import { suggestedWish } from '../../../src/replication/suggested-wish.ts'
import { decodeSuggestion, encodeSuggestion, nothingSuggested } from '../../../src/replication/suggestion.ts'

const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const node = { id: 'n', incarnation: 'n#1', address: 'n' }
const endAt = (tail: number): LogEnd => ({ tail: lsn(tail), tailDigest: emptyDigest.toString('hex') })
const first = opened(elected(newStreamMeta('s'), node, '1'), '2', endAt(0), { group: ['a', 'b', 'c'], policy })
/** With a sealed segment of a, b, c and an open one of `group`. */
const second = (group: readonly string[]): StreamMeta => rolled(first, '3', endAt(9), { group, policy })

const server = (id: string, change: Partial<RegisteredServer> = {}): RegisteredServer => ({
  id,
  identity: `${id}-1`,
  address: id,
  host: id,
  device: '8:1',
  state: 'active',
  ...change,
})

interface Cluster {
  readonly meta?: StreamMeta
  readonly leaving?: readonly string[]
  readonly down?: readonly string[]
  readonly servers?: readonly RegisteredServer[]
}

function viewOf({
  meta = first,
  leaving = [],
  down = [],
  servers = ['a', 'b', 'c', 'd'].map((id) => server(id)),
}: Cluster): GroupView {
  const known = servers.map((one) => [one.id, leaving.includes(one.id) ? { ...one, state: 'leaving' } : one] as const)
  return {
    meta,
    servers: new Map(known as [string, RegisteredServer][]),
    isConnected: (id) => !down.includes(id),
    mayShareDevice: false,
  }
}

const groupOf = (wish: Wish | null): readonly string[] | undefined =>
  wish !== null && 'group' in wish ? wish.group.map(({ id }) => id) : undefined

describe('what a leader does by a suggestion', () => {
  const suggest = (change: Partial<Suggestion>, cluster: Cluster = {}) =>
    suggestedWish({ ...nothingSuggested, epoch: epoch(1), ...change }, 'n', viewOf(cluster))

  it('is nothing where that is of another epoch, or is so already', () => {
    expect(suggest({ epoch: epoch(2), seal: true })).toEqual({ kind: 'nothing' })
    expect(suggest({ group: ['c', 'b', 'a'], policy })).toEqual({ kind: 'nothing' })
    expect(suggest({ leader: 'n' })).toEqual({ kind: 'nothing' })
    expect(suggest({ seal: true }, { meta: newStreamMeta('s') })).toEqual({ kind: 'nothing' })
  })

  it('is to give up the lead to another node', () => {
    expect(suggest({ leader: 'm' })).toEqual({ kind: 'wish', wish: { kind: 'resign' } })
  })

  it('is another segment, on the same servers or on others, by the same policy or another one', () => {
    expect(suggest({ seal: true })).toMatchObject({
      wish: { kind: 'roll', policy, group: [{ id: 'a' }, { id: 'b' }, { id: 'c' }] },
    })
    expect(suggest({ group: ['a', 'b', 'd'] })).toMatchObject({
      wish: { group: [{ id: 'a' }, { id: 'b' }, { id: 'd', identity: 'd-1' }] },
    })
    const wider = { replicas: 4, ackQuorum: 3, topology: 'chain' } as const
    expect(suggest({ policy: wider })).toMatchObject({ wish: { policy: wider, group: { length: 4 } } })
    expect(suggest({ seal: true }, { down: ['b'] })).toMatchObject({
      wish: { group: [{ id: 'a' }, { id: 'c' }, { id: 'd' }] },
    })
  })

  it('is nothing that cannot be held, and it says why', () => {
    const refused = (why: RegExp) => ({ kind: 'refused', why: expect.stringMatching(why) })
    expect(suggest({ group: ['a', 'b', 'x'] })).toEqual(refused(/x: not registered/))
    expect(suggest({ group: ['a', 'b', 'd'] }, { leaving: ['d'] })).toEqual(refused(/d: not registered, or leaving/))
    expect(suggest({ group: ['a', 'b', 'c', 'd'] })).toEqual(refused(/4 servers for 3 replicas/))
    expect(suggest({ group: ['a', 'b', 'd'] }, { down: ['b', 'd'] })).toEqual(refused(/only 1 can be reached, and 2/))
    expect(suggest({ policy: { replicas: 5, ackQuorum: 3, topology: 'fanout' } })).toEqual(refused(/wants 5/))
    const servers = [...['a', 'b', 'c'].map((id) => server(id)), server('d', { host: 'a' })]
    expect(suggest({ group: ['a', 'b', 'd'] }, { servers })).toEqual(refused(/a, d share the device/))
  })
})

describe('a server that leaves the cluster', () => {
  it('is replaced in the open segment first', () => {
    expect(careWish(viewOf({}), [])).toBeNull()
    const wish = careWish(viewOf({ meta: second(['a', 'b', 'c']), leaving: ['b'] }), [])
    expect(wish?.kind).toBe('roll')
    expect(groupOf(wish)).toEqual(['a', 'c', 'd'])
  })

  it('is replaced in sealed segments then, one after the other, by who gets a copy', () => {
    const view = viewOf({ meta: second(['a', 'c', 'd']), leaving: ['b'] })
    const wish = careWish(view, [])
    expect(wish).toMatchObject({ kind: 'regroup', segmentEpoch: 1 })
    expect(groupOf(wish)).toEqual(['a', 'c', 'd'])
    expect(careWish(view, [wish as Wish])).toBeNull()
  })

  it('stays where nobody can take its place', () => {
    expect(careWish(viewOf({ leaving: ['b'], down: ['d'] }), [])).toBeNull()
  })

  it('leaves a sealed segment to fewer, where the open one is kept by fewer', () => {
    const narrow = { replicas: 2, ackQuorum: 2, topology: 'fanout' } as const
    const meta = rolled(first, '3', endAt(9), { group: ['a', 'c'], policy: narrow })
    expect(groupOf(careWish(viewOf({ meta, leaving: ['b'], down: ['d'] }), []))).toEqual(['a', 'c'])
  })

  it('is not replaced by what is down, while who is there and down stays', () => {
    expect(groupOf(careWish(viewOf({ leaving: ['b'], down: ['a'] }), []))).toEqual(['a', 'c', 'd'])
  })
})

describe('the group of the next leader', () => {
  const wanted = { replicas: 2, ackQuorum: 1, topology: 'fanout' } as const

  it('is kept as the config says at first, and as the record says from then on', () => {
    expect(planGroup(viewOf({ meta: newStreamMeta('s') }), wanted)).toMatchObject({
      policy: wanted,
      group: { length: 2 },
    })
    expect(planGroup(viewOf({}), wanted)).toMatchObject({ policy, group: { length: 3 } })
  })
})

describe('another placement, as an operator wants it', () => {
  const open = openSegmentOf(first) as OpenSegment
  const servers = [...viewOf({}).servers.values()]
  const facts = { servers, nodes: [] }
  const place = (change: Parameters<typeof wantedPlacement>[0], up = ['a', 'b', 'c', 'd']) =>
    wantedPlacement(change, open, facts, new Set(up))

  it('keeps what is not given', () => {
    expect(place({ ackQuorum: 3 })).toEqual({ group: ['a', 'b', 'c'], policy: { ...policy, ackQuorum: 3 } })
    expect(place({ replicas: 2 })).toEqual({ group: ['a', 'b'], policy: { ...policy, replicas: 2 } })
    expect(place({ group: ['d', 'c', 'b'] })).toEqual({ group: ['d', 'c', 'b'], policy })
    expect(place({ group: ['d', 'c', 'b', 'a'], replicas: 4 })).toMatchObject({ policy: { replicas: 4, ackQuorum: 2 } })
    expect(place({ topology: 'chain' }, ['a', 'c', 'd']).group).toEqual(['a', 'c', 'd'])
  })

  it.each([
    [{ ackQuorum: 4 }, 'invalid_config'],
    [{ replicas: 1 }, 'invalid_config'],
    [{ replicas: 17 }, 'invalid_config'],
    [{ replicas: 5 }, 'policy_unsatisfiable'],
    [{ group: ['a', 'b', 'x'] }, 'not_found'],
    [{ group: ['a', 'b', 'b'] }, 'policy_unsatisfiable'],
    [{ group: ['a', 'b'], replicas: 3 }, 'policy_unsatisfiable'],
    [{ group: ['a', 'b'] }, 'policy_unsatisfiable'],
    [{ group: ['a', 'b', 'c', 'd'] }, 'policy_unsatisfiable'],
  ])('is refused as %j', (change, code) => {
    expect(() => place(change)).toThrow(expect.objectContaining({ code }))
  })

  it('is refused with a server that does not answer, or leaves', () => {
    const unsatisfiable = expect.objectContaining({ code: 'policy_unsatisfiable' })
    expect(() => place({ group: ['a', 'b', 'd'] }, ['a', 'b'])).toThrow(unsatisfiable)
    const leaving = { ...facts, servers: [...viewOf({ leaving: ['d'] }).servers.values()] }
    expect(() => wantedPlacement({ group: ['a', 'b', 'd'] }, open, leaving, new Set(['a', 'b', 'd']))).toThrow(
      unsatisfiable,
    )
  })
})

describe('the record of a suggestion', () => {
  it('is read as it was written', () => {
    const suggestion: Suggestion = { epoch: epoch(7), leader: 'a', group: ['x'], policy, seal: true, by: 'operator' }
    expect(decodeSuggestion(encodeSuggestion(suggestion))).toEqual(suggestion)
  })

  it('may leave out what it does not say', () => {
    expect(decodeSuggestion('{"epoch":7}')).toEqual({ ...nothingSuggested, epoch: 7 })
  })

  it.each(['', 'null', '[]', '{}', '{"epoch":1,"seal":1}', '{"epoch":1,"group":"a"}', '{"epoch":1,"by":"me"}'])(
    'is none in %s',
    (text) => expect(decodeSuggestion(text)).toBeNull(),
  )

  it('is none with a policy that nobody can hold', () => {
    const text = JSON.stringify({ epoch: 1, policy: { replicas: 2, ackQuorum: 3, topology: 'fanout' } })
    expect(decodeSuggestion(text)).toBeNull()
  })
})
