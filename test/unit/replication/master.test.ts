import { beforeEach, describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import { newMaster, stepMaster } from '../../../src/replication/master.ts'
import type { MasterEffect, MasterEvent, MasterState } from '../../../src/replication/master-state.ts'
import { elected, newStreamMeta, opened, type StreamMeta } from '../../../src/replication/stream-meta.ts'
import { nothingSuggested } from '../../../src/replication/suggestion.ts'

const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const options = {
  leaseMs: 1_000,
  leaderSilenceMs: 1_000,
  silenceMs: 2_000,
  policy,
  spares: { min: 0, max: 1, host: null },
  mayShareDevice: false,
}

let state: MasterState
let nowMs: number

function step(event: MasterEvent): readonly MasterEffect[] {
  const result = stepMaster(state, event)
  state = result.state
  return result.effects
}

const meta = (stream: string, group: readonly string[], leader = 'n1'): StreamMeta => {
  const peer = { id: leader, incarnation: `${leader}#1`, address: leader }
  const end = { tail: lsn(0), tailDigest: emptyDigest.toString('hex') }
  return opened(elected(newStreamMeta(stream), peer, 'x'), 'y', end, { group, policy })
}

/** Time passes, and these are heard of meanwhile. */
function pass(ms: number, nodes: readonly string[], servers: readonly string[]): readonly MasterEffect[] {
  const effects: MasterEffect[] = []
  for (const until = nowMs + ms; nowMs < until; ) {
    nowMs += 100
    for (const id of nodes)
      step({ kind: 'nodeHeard', id, incarnation: `${id}#1`, ends: new Map([['s', lsn(id === 'n3' ? 9 : 5)]]) })
    for (const id of servers) step({ kind: 'serverHeard', id, host: id, device: id, bytes: 0 })
    effects.push(...step({ kind: 'tick', nowMs }))
  }
  return effects
}

const everybody = ['a', 'b', 'c']

beforeEach(() => {
  nowMs = 0
  state = newMaster(options, nowMs)
})

describe('the master', () => {
  it('suggests nothing while all is well', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    expect(pass(10_000, ['n1', 'n2'], everybody)).toEqual([])
  })

  it('takes nobody for silent when it has just begun', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    expect(pass(1_900, [], [])).toEqual([])
  })

  it('suggests the node that has most when the leader is silent, then another, each after a longer while', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    const effects = pass(20_000, ['n2', 'n3'], everybody)
    expect(effects.map((effect) => effect.do === 'suggest' && effect.suggestion.leader)).toEqual([
      'n3',
      'n2',
      'n3',
      'n2',
    ])
  })

  it('takes a restarted leader for a silent one', () => {
    step({
      kind: 'metaSeen',
      meta: { ...meta('s', everybody), leader: { id: 'n1', incarnation: 'n1#0', address: '' } },
    })
    expect(pass(2_500, ['n1'], everybody)).toMatchObject([{ suggestion: { leader: 'n1', group: null } }])
  })

  it('suggests another server in the place of one that is silent, again until it is so', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    pass(3_000, ['n1'], ['a', 'b', 'c', 'd'])
    const suggested = {
      do: 'suggest',
      stream: 's',
      suggestion: { ...nothingSuggested, epoch: 1, group: ['a', 'c', 'd'] },
    }
    expect(pass(5_000, ['n1'], ['a', 'c', 'd'])).toEqual([suggested, suggested])
    step({ kind: 'metaSeen', meta: { ...meta('s', ['a', 'c', 'd']), epoch: epoch(2) } })
    expect(pass(5_000, ['n1'], ['a', 'c', 'd'])).toEqual([])
  })

  it('evens out what servers have to do', () => {
    for (const stream of ['s', 't']) step({ kind: 'metaSeen', meta: meta(stream, everybody) })
    const [first] = pass(3_000, ['n1'], ['a', 'b', 'c', 'd'])
    expect(first).toMatchObject({ do: 'suggest', suggestion: { leader: null, group: ['a', 'b', 'd'] } })
  })

  it('asks for servers that are missing, and again only after a long while', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    const effects = pass(15_000, ['n1'], ['a', 'b']).filter((effect) => effect.do === 'provision')
    expect(effects).toEqual([{ do: 'provision', count: 1 }])
    expect(pass(15_000, ['n1'], ['a', 'b'])).toContainEqual({ do: 'provision', count: 1 })
  })

  it('gives back servers that nobody needs, and never one that holds anything', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    const servers = [...everybody, 'd', 'e', 'f']
    const givenBack: string[] = []
    for (let i = 0; i < 60; i++) {
      for (const effect of pass(
        100,
        ['n1'],
        servers.filter((id) => !givenBack.includes(id)),
      ))
        if (effect.do === 'deprovision') givenBack.push(effect.server)
    }
    expect(givenBack).toEqual(['f', 'e'])
  })

  it('is not misled by an old record', () => {
    step({ kind: 'metaSeen', meta: meta('s', everybody) })
    step({ kind: 'metaSeen', meta: newStreamMeta('s') })
    expect(state.streams.get('s')?.meta.epoch).toBe(1)
  })
})
