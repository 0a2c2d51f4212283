import { beforeEach, describe, expect, it } from 'vitest'
import { type Epoch, epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import { stepLeader } from '../../../src/replication/leader.ts'
import type { LeaderEffect, LeaderEvent, LeaderState, Wish } from '../../../src/replication/leader-state.ts'
import type { ServerAnswer } from '../../../src/replication/messages.ts'
import type { ReplicationPolicy, Topology } from '../../../src/replication/replication-policy.ts'
import { membersOf } from '../../../src/replication/segment-track.ts'
import { elected, newStreamMeta, opened, type Peer } from '../../../src/replication/stream-meta.ts'
import {
  appended,
  batches,
  fencedAnswer,
  gapAnswer,
  member,
  segmentState,
  stateAnswer,
  stream,
} from './chain-of-batches.ts'

const me: Peer = { id: 'n1', incarnation: 'n1#1', address: 'n1' }
const zeros = emptyDigest.toString('hex')
const group = ['a', 'b', 'c'].map(member)
const entries = batches(9)
const one = epoch(1)
const two = epoch(2)
const three = epoch(3)

let state: LeaderState
let nowMs = 0
let appendedSoFar = 0

const policyOf = (ackQuorum: number, topology: Topology): ReplicationPolicy => ({ replicas: 3, ackQuorum, topology })

function lead(ackQuorum = 2, topology: Topology = 'fanout'): void {
  const policy = policyOf(ackQuorum, topology)
  const end = { tail: lsn(0), tailDigest: zeros }
  const meta = opened(elected(newStreamMeta(stream), me, 'x'), 'y', end, { group: ['a', 'b', 'c'], policy })
  const begin = { lsn: lsn(0), digest: emptyDigest }
  const open = {
    segmentEpoch: one,
    base: lsn(1),
    baseDigest: emptyDigest,
    policy,
    end: null,
    members: membersOf(group, lsn(1)),
  }
  const none = { sealed: [], swap: null, wishes: [], confirmation: null, readers: [], uncommitted: [] }
  const rest = { isDeposed: false, nextId: 1, nonces: 2, nowMs: 0, attempt: 1, revision: 5 }
  const confirmed = { isGroupConfirmed: true, groupAskedMs: 0, isDeviceShared: false }
  state = { stream, me, meta, last: begin, committed: begin, wanted: begin.lsn, open, ...confirmed, ...none, ...rest }
  nowMs = 0
  appendedSoFar = 0
}

function step(event: LeaderEvent): readonly LeaderEffect[] {
  const result = stepLeader(state, event)
  state = result.state
  return result.effects
}

const tick = (ms = 50): readonly LeaderEffect[] => {
  nowMs += ms
  return step({ kind: 'tick', nowMs })
}
const answer = (content: ServerAnswer): readonly LeaderEffect[] => step({ kind: 'answer', answer: content })
/** And somebody waits for it. */
const append = (): readonly LeaderEffect[] => {
  number()
  return step({ kind: 'flush' })
}
const number = (): readonly LeaderEffect[] => {
  const { payload: _, ...head } = entries[appendedSoFar++] as (typeof entries)[number]
  return step({ kind: 'append', head })
}
const wish = (content: Wish): readonly LeaderEffect[] => step({ kind: 'wish', wish: content })

/** C2, of the group that the record names by now. */
const confirmGroup = (of: Epoch = two, isDeviceShared = false): readonly LeaderEffect[] =>
  step({ kind: 'groupConfirmed', segmentEpoch: of, isDeviceShared })

/** Every member says that it has the open segment. */
function openAll(of: Epoch = one, flushed = 0): void {
  const { base, baseDigest } = state.open
  for (const { member: to, lastId } of state.open.members.values()) {
    const segment = segmentState(flushed || base - 1, { segmentEpoch: of, base, baseDigest })
    answer(stateAnswer(to.id, lastId, of, segment))
  }
}

const did = (effects: readonly LeaderEffect[]): readonly string[] =>
  effects.map((effect) => {
    if (effect.do === 'send') return `${effect.request.kind} ${effect.to.id}`
    if (effect.do === 'stream') return `stream ${effect.to.id} ${effect.after}-${effect.upTo}`
    return effect.do === 'committed' ? `committed ${effect.lsn}` : effect.do
  })

beforeEach(() => {
  lead()
  tick()
  openAll()
})

describe('a leader that appends', () => {
  it('opens the segment on every member before it sends anything, again until it is answered', () => {
    lead()
    expect(did(append())).toEqual(['openSegment a', 'openSegment b', 'openSegment c'])
    expect(did(tick(100))).toEqual([])
    expect(did(tick(100))).toEqual(['openSegment a', 'openSegment b', 'openSegment c'])
  })

  it('sends to all at once, and says what ackQuorum of them flushed (I7)', () => {
    expect(did(append())).toEqual(['stream a 0-1', 'stream b 0-1', 'stream c 0-1'])
    expect(did(append())).toEqual(['stream a 1-2', 'stream b 1-2', 'stream c 1-2'])
    expect(did(answer(appended('a', 2, one)))).toEqual([])
    expect(did(answer(appended('a', 2, one)))).toEqual([])
    expect(did(answer(appended('c', 1, one)))).toEqual(['committed 1'])
    expect(did(answer(appended('c', 2, one)))).toEqual(['committed 2'])
    expect(did(answer(appended('b', 2, one)))).toEqual([])
  })

  it('sends what nobody waits for with what somebody does wait for, or with the next tick', () => {
    expect(did(number())).toEqual([])
    expect(did(append())).toEqual(['stream a 0-2', 'stream b 0-2', 'stream c 0-2'])
    expect(did(number())).toEqual([])
    expect(did(answer(appended('a', 2, one)))).toEqual([])
    expect(did(tick())).toEqual(['stream a 2-3', 'stream b 2-3', 'stream c 2-3'])
  })

  it('lets members that no quorum needs wait, where devices are shared, until they are due', () => {
    confirmGroup(one, true)
    expect(did(append())).toEqual(['stream a 0-1', 'stream b 0-1'])
    expect(did(append())).toEqual(['stream a 1-2', 'stream b 1-2'])
    expect(did(answer(appended('a', 2, one)))).toEqual([])
    expect(did(answer(appended('b', 2, one)))).toEqual(['committed 2'])
    expect(did(step({ kind: 'surplusDue' }))).toEqual(['stream c 0-2'])
    expect(did(step({ kind: 'surplusDue' }))).toEqual([])
    append()
    expect(did(tick())).toEqual(['stream c 2-3'])
  })

  it('goes on with whoever has what one lacks that stands still', () => {
    confirmGroup(one, true)
    append()
    expect(did(answer(appended('a', 1, one)))).toEqual([])
    expect(did(step({ kind: 'surplusDue' }))).toEqual(['stream c 0-1'])
    expect(did(answer(appended('c', 1, one)))).toEqual(['committed 1'])
    expect(did(append())).toEqual(['stream a 1-2', 'stream c 1-2'])
    answer(appended('a', 2, one))
    expect(did(answer(appended('c', 2, one)))).toEqual(['committed 2'])
  })

  it('counts no server that is not the registered one (I17)', () => {
    append()
    answer(appended('a', 1, one))
    const other = appended('b', 1, one)
    const acks = [{ server: 'b', identity: 'another-disk', flushed: lsn(1) }]
    expect(did(answer({ ...other, acks } as ServerAnswer))).toEqual([])
  })

  it('lets the committed hint ride on the next append, and sends it by itself when there is none', () => {
    append()
    answer(appended('a', 1, one))
    answer(appended('b', 1, one))
    answer(appended('c', 1, one))
    expect(append()).toMatchObject([{ do: 'stream', committed: 1 }, { committed: 1 }, { committed: 1 }])
    for (const id of ['a', 'b', 'c']) answer(appended(id, 2, one))
    expect(did(tick(250))).toEqual(['commit a', 'commit b', 'commit c'])
  })

  it('goes back once for a lost message, however many refusals it brings', () => {
    append()
    append()
    const { lastId = 0 } = state.open.members.get('a') ?? {}
    expect(did(answer(gapAnswer('a', lastId - 1, one, lsn(0))))).toEqual(['stream a 0-2'])
    expect(did(answer(gapAnswer('a', lastId, one, lsn(0))))).toEqual([])
  })

  it('sends again what is not answered', () => {
    append()
    answer(appended('a', 1, one))
    answer(appended('b', 1, one))
    expect(did(tick(300))).toContain('stream c 0-1')
  })

  it('sends the rest of what the shell had to cut when that arrived', () => {
    append()
    append()
    step({ kind: 'cut', segmentEpoch: one, servers: ['a'], upTo: lsn(1) })
    expect(did(answer(appended('a', 1, one)))).toEqual(['stream a 1-2'])
  })

  it('asks what a server has that came back with less, raises the alarm, and leaves the segment', () => {
    append()
    for (const id of ['a', 'b', 'c']) answer(appended(id, 1, one))
    append()
    const { lastId = 0 } = state.open.members.get('a') ?? {}
    const effects = answer(gapAnswer('a', lastId, one, lsn(0)))
    expect(did(effects)).toEqual(['openSegment a'])
    const asked = state.open.members.get('a')?.lastId ?? 0
    const told = answer(stateAnswer('a', asked, one, segmentState(0, { atLeast: true })))
    expect(did(told)).toContain('alarm')
    expect(told).toContainEqual(expect.objectContaining({ do: 'swap', meta: expect.objectContaining({ epoch: 2 }) }))
  })

  it('asks again whoever is connected anew', () => {
    expect(did(step({ kind: 'connected', server: 'b' }))).toEqual(['openSegment b'])
  })

  it('is over when a server promised more, and says from where on it is indeterminate', () => {
    append()
    expect(answer(fencedAnswer('a', one, one))).toEqual([])
    expect(answer(fencedAnswer('a', one, two))).toMatchObject([{ do: 'deposed', promised: 2, committed: 0 }])
    expect(did(tick(1_000))).toEqual([])
    expect(did(answer(appended('b', 1, one)))).toEqual([])
  })

  it('is over when the record says so', () => {
    const meta = elected(state.meta, { ...me, id: 'n2', incarnation: 'n2#1' }, 'z')
    expect(step({ kind: 'metaSeen', meta })).toMatchObject([{ do: 'deposed', leader: { id: 'n2' } }])
  })
})

describe('a leader of a chain', () => {
  beforeEach(() => {
    lead(2, 'chain')
    tick()
    openAll()
  })

  it('sends to the first alone, with the list of the others, and counts all that come back', () => {
    const effects = append()
    expect(effects).toMatchObject([{ do: 'stream', to: { id: 'a' }, next: [{ id: 'b' }, { id: 'c' }] }])
    const acks = ['a', 'b'].map((server) => ({ server, identity: `${server}-disk`, flushed: lsn(1) }))
    expect(did(answer({ ...appended('a', 1, one), acks } as ServerAnswer))).toEqual(['committed 1'])
  })

  it('goes around a link that broke, and back when nothing is left to catch up on', () => {
    append()
    answer(appended('a', 1, one))
    expect(did(tick(300))).toEqual(['stream b 0-1', 'stream c 0-1'])
    answer(appended('b', 1, one))
    answer(appended('c', 1, one))
    expect(append()).toMatchObject([{ to: { id: 'a' }, next: [] }, { to: { id: 'b' } }, { to: { id: 'c' } }])
    for (const id of ['a', 'b', 'c']) answer(appended(id, 2, one))
    tick(1_100)
    tick()
    expect(append()).toMatchObject([{ to: { id: 'a' }, next: [{ id: 'b' }, { id: 'c' }] }])
  })
})

describe('a leader that rolls', () => {
  const roll = (ids: readonly string[]): Wish => ({
    kind: 'roll',
    group: ids.map(member),
    policy: policyOf(2, 'fanout'),
  })
  const settle = (): readonly LeaderEffect[] => step({ kind: 'swapped', nonce: state.swap?.nonce ?? '', revision: 6 })

  it('seals at what is committed, and appends the rest again under the same LSNs', () => {
    append()
    answer(appended('a', 1, one))
    answer(appended('b', 1, one))
    append()
    expect(wish(roll(['a', 'd', 'e']))).toMatchObject([
      { do: 'swap', expectedRevision: 5, meta: { epoch: 2, segments: [{ tail: 1 }, { epoch: 2, base: 2 }] } },
    ])
    const effects = settle()
    expect(did(effects)).toEqual(expect.arrayContaining(['recorded', 'finish a', 'openSegment a', 'openSegment d']))
    openAll(two, 1)
    expect([...state.open.members.values()].map(({ sent }) => sent)).toEqual([2, 2, 2])
  })

  it('counts no late acknowledgement of the old segment above its tail, nor of a member that is in both', () => {
    append()
    wish(roll(['a', 'b', 'd']))
    expect(did(answer(appended('a', 1, one)))).toEqual([])
    expect(did(answer(appended('b', 1, one)))).toEqual([])
    settle()
    confirmGroup()
    openAll(two)
    answer(appended('a', 1, one))
    expect(did(answer(appended('b', 1, one)))).toEqual([])
    expect(did(answer(appended('a', 1, two)))).toEqual([])
    expect(did(answer(appended('b', 1, two)))).toEqual(['committed 1'])
  })

  it('numbers on meanwhile, and sends nothing to a segment that may be sealed', () => {
    wish(roll(['a', 'b', 'd']))
    expect(did(append())).toEqual([])
    expect(state.last.lsn).toBe(1)
  })

  it('sends the same swap again when the answer was lost, and concludes nothing from that', () => {
    append()
    const [first] = wish(roll(['a', 'b', 'd']))
    step({ kind: 'swapLost', nonce: state.swap?.nonce ?? '' })
    expect(did(answer(appended('a', 1, one)))).toEqual([])
    expect(did(answer(appended('b', 1, one)))).toEqual([])
    expect(tick()).toEqual([first])
  })

  it('knows its own swap by the nonce', () => {
    wish(roll(['a', 'b', 'd']))
    const { meta, nonce } = state.swap as NonNullable<LeaderState['swap']>
    const effects = step({ kind: 'conflict', nonce, current: { meta, revision: 6 } })
    expect(did(effects)).toContain('recorded')
    expect(state.open.segmentEpoch).toBe(2)
  })

  it('makes its change on what somebody else recorded, as long as it leads', () => {
    wish(roll(['a', 'b', 'd']))
    const current = { meta: { ...state.meta, nonce: 'other' }, revision: 8 }
    const effects = step({ kind: 'conflict', nonce: state.swap?.nonce ?? '', current })
    expect(effects).toMatchObject([{ do: 'swap', expectedRevision: 8, meta: { epoch: 2 } }])
    const taken = { meta: elected(state.meta, { ...me, incarnation: 'n2#1' }, 'z'), revision: 9 }
    expect(did(step({ kind: 'conflict', nonce: state.swap?.nonce ?? '', current: taken }))).toEqual(['deposed'])
  })

  it('serves who lags in the old segment until all have all', () => {
    append()
    answer(appended('a', 1, one))
    answer(appended('b', 1, one))
    wish(roll(['a', 'b', 'd']))
    settle()
    for (const id of ['a', 'b', 'c']) {
      const { lastId = 0 } = state.sealed[0]?.members.get(id) ?? {}
      answer(stateAnswer(id, lastId, two, segmentState(id === 'c' ? 0 : 1, { finished: true })))
    }
    tick(300)
    expect(state.sealed).toHaveLength(1)
    answer(appended('c', 1, two, one))
    tick()
    expect(state.sealed).toEqual([])
  })

  it('brings all members of a sealed segment up at once, where devices are shared, too', () => {
    confirmGroup(one, true)
    append()
    answer(appended('a', 1, one))
    answer(appended('b', 1, one))
    wish(roll(['a', 'b', 'c']))
    expect(did(settle())).toContain('stream c 0-1')
  })

  it('tells servers to trim what the record says, and not before', () => {
    append()
    for (const id of ['a', 'b', 'c']) answer(appended(id, 1, one))
    wish(roll(['a', 'b', 'c']))
    settle()
    const swap = wish({ kind: 'trim', trimLsn: lsn(99), isArchiving: false })
    expect(did(swap)).toEqual(['swap'])
    const trims = settle().filter((effect) => effect.do === 'send' && effect.request.kind === 'trim')
    expect(trims).toHaveLength(3)
    expect(trims[0]).toMatchObject({ request: { trimLsn: 1 } })
    expect(wish({ kind: 'trim', trimLsn: lsn(1), isArchiving: false })).toMatchObject([{ do: 'refusedWish' }])
  })

  it('moves a sealed segment when the new group has all of it', () => {
    append()
    for (const id of ['a', 'b', 'c']) answer(appended(id, 1, one))
    wish(roll(['a', 'b', 'c']))
    settle()
    const effects = wish({ kind: 'regroup', segmentEpoch: one, group: ['a', 'b', 'e'].map(member) })
    expect(did(effects)).toEqual(['openSegment e'])
    for (const id of ['a', 'b', 'e']) {
      const { lastId = 0 } = state.sealed[0]?.members.get(id) ?? {}
      answer(stateAnswer(id, lastId, two, segmentState(id === 'e' ? 0 : 1, { finished: true })))
    }
    expect(state.swap).toBeNull()
    expect(answer(appended('e', 1, two, one))).toMatchObject([
      { do: 'swap', meta: { segments: [{ group: ['a', 'b', 'e'] }, {}] } },
    ])
  })

  it('has damaged copies taken again only while enough others have all', () => {
    append()
    for (const id of ['a', 'b']) answer(appended(id, 1, one))
    wish(roll(['a', 'b', 'c']))
    settle()
    const tell = (id: string, flushed: number, more: object = {}): readonly LeaderEffect[] => {
      const { lastId = 0 } = state.sealed[0]?.members.get(id) ?? {}
      return answer(stateAnswer(id, lastId, two, segmentState(flushed, { finished: true, ...more })))
    }
    tell('a', 1, { damaged: [{ from: lsn(1), to: lsn(1) }] })
    tell('b', 1)
    tell('c', 0)
    expect(did(tick(300))).not.toContain('rewind a')
    expect(did([...answer(appended('c', 1, two, one)), ...tick(300)])).toContain('rewind a')
  })

  it('leaves when it is told to, and what is under way is indeterminate', () => {
    append()
    wish({ kind: 'resign' })
    expect(settle()).toMatchObject([
      { do: 'recorded', meta: { leader: null } },
      { do: 'deposed', committed: 0 },
    ])
  })
})

describe('a leader whose group is not confirmed yet', () => {
  const roll = (ids: readonly string[]): Wish => ({
    kind: 'roll',
    group: ids.map(member),
    policy: policyOf(2, 'fanout'),
  })
  const settle = (): readonly LeaderEffect[] => step({ kind: 'swapped', nonce: state.swap?.nonce ?? '', revision: 6 })

  beforeEach(() => {
    append()
    wish(roll(['a', 'd', 'e']))
  })

  it('asks about the members that the record names, and again while it is not answered', () => {
    const asked = settle().filter((effect) => effect.do === 'confirmGroup')
    expect(asked).toEqual([{ do: 'confirmGroup', segmentEpoch: two, group: ['a', 'd', 'e'].map(member) }])
    expect(did(tick(100))).not.toContain('confirmGroup')
    expect(did(tick(100))).toContain('confirmGroup')
    confirmGroup()
    expect(did(tick(1000))).not.toContain('confirmGroup')
  })

  it('commits nothing of it, whatever its members have flushed, until none of them was deregistered meanwhile (C2)', () => {
    settle()
    openAll(two)
    for (const id of ['a', 'd', 'e']) expect(did(answer(appended(id, 1, two)))).toEqual([])
    confirmGroup(one)
    expect(state.committed.lsn).toBe(0)
    expect(did(confirmGroup())).toEqual(['committed 1'])
  })

  it('asks nothing more of a group of which all were confirmed for the segment before', () => {
    settle()
    confirmGroup()
    openAll(two)
    wish(roll(['a', 'd', 'e']))
    expect(did(step({ kind: 'swapped', nonce: state.swap?.nonce ?? '', revision: 7 }))).not.toContain('confirmGroup')
    openAll(three)
    for (const id of ['a', 'd']) answer(appended(id, 1, three))
    expect(state.committed.lsn).toBe(1)
    // One of another identity under a known id is somebody else.
    const replaced = { ...member('e'), identity: 'another' }
    wish({ kind: 'roll', group: [member('a'), member('d'), replaced], policy: policyOf(2, 'fanout') })
    expect(did(step({ kind: 'swapped', nonce: state.swap?.nonce ?? '', revision: 8 }))).toContain('confirmGroup')
  })

  it('answers no reader with the word of such a group (C2, I12)', () => {
    settle()
    expect(did(step({ kind: 'confirm', reader: 1 }))).toEqual([])
    expect(did(confirmGroup())).toEqual(['confirm a', 'confirm d', 'confirm e'])
  })

  it('goes to another group with all that it has, and counts nothing that the first one flushed', () => {
    settle()
    openAll(two)
    for (const id of ['a', 'd', 'e']) answer(appended(id, 1, two))
    wish(roll(['a', 'b', 'c']))
    settle()
    expect(state.meta.segments.map(({ epoch: of, base, group: ids }) => [of, base, ids])).toEqual([
      [3, 1, ['a', 'b', 'c']],
    ])
    confirmGroup(two)
    openAll(epoch(3))
    answer(appended('a', 1, epoch(3)))
    expect([state.committed.lsn, did(confirmGroup(epoch(3)))]).toEqual([0, []])
    expect(did(answer(appended('b', 1, epoch(3))))).toEqual(['committed 1'])
  })
})

describe('a leader that is read from', () => {
  const confirmed = (id: string, round: number, of: Epoch = one): readonly LeaderEffect[] =>
    answer({ kind: 'confirmed', id: round, stream, server: id, identity: `${id}-disk`, epoch: of })

  const roundOf = (effects: readonly LeaderEffect[]): number => {
    const sent = effects.find((effect) => effect.do === 'send' && effect.request.kind === 'confirm')
    return sent?.do === 'send' ? sent.request.id : 0
  }

  it('answers what was committed at the start, when ackQuorum of the group have promised nobody else (I12)', () => {
    append()
    answer(appended('a', 1, one))
    answer(appended('b', 1, one))
    const effects = step({ kind: 'confirm', reader: 7 })
    expect(did(effects)).toEqual(['confirm a', 'confirm b', 'confirm c'])
    const round = roundOf(effects)
    expect(confirmed('a', round)).toEqual([])
    expect(confirmed('a', round)).toEqual([])
    expect(confirmed('b', round)).toEqual([{ do: 'confirmed', reader: 7, lsn: 1 }])
  })

  it('takes later readers in the next round', () => {
    const first = roundOf(step({ kind: 'confirm', reader: 1 }))
    expect(step({ kind: 'confirm', reader: 2 })).toEqual([])
    confirmed('a', first)
    const effects = confirmed('b', first)
    expect(effects[0]).toEqual({ do: 'confirmed', reader: 1, lsn: 0 })
    expect(roundOf(effects)).toBeGreaterThan(first)
  })

  it('begins again with the new group when the group may have changed, and counts no former answers', () => {
    const first = roundOf(step({ kind: 'confirm', reader: 1 }))
    confirmed('a', first)
    wish({ kind: 'roll', group: ['d', 'e', 'f'].map(member), policy: policyOf(2, 'fanout') })
    expect(confirmed('b', first)).toEqual([])
    expect(did(step({ kind: 'swapped', nonce: state.swap?.nonce ?? '', revision: 6 }))).not.toContain('confirm d')
    const effects = confirmGroup()
    expect(did(effects)).toEqual(['confirm d', 'confirm e', 'confirm f'])
    const round = roundOf(effects)
    expect(confirmed('c', first)).toEqual([])
    confirmed('d', round, two)
    expect(confirmed('e', round, two)).toEqual([{ do: 'confirmed', reader: 1, lsn: 0 }])
  })

  it('asks again who does not answer', () => {
    step({ kind: 'confirm', reader: 1 })
    expect(did(tick(300))).toEqual(['confirm a', 'confirm b', 'confirm c'])
  })
})
