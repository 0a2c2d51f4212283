import { describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import type { LeaderState } from '../../../src/replication/leader-state.ts'
import type { SegmentState, ServerAnswer } from '../../../src/replication/messages.ts'
import { beginRecovery, stepRecovery } from '../../../src/replication/recovery.ts'
import type { RecoveryEffect, RecoveryEvent, RecoveryState } from '../../../src/replication/recovery-state.ts'
import {
  elected,
  newStreamMeta,
  opened,
  openSegmentOf,
  type Peer,
  type StreamMeta,
} from '../../../src/replication/stream-meta.ts'
import {
  appended,
  batches,
  fencedAnswer,
  member,
  sealedAnswer,
  segmentState,
  stateAnswer,
  stream,
} from './chain-of-batches.ts'

const peer = (id: string): Peer => ({ id, incarnation: `${id}#1`, address: id })
const zeros = emptyDigest.toString('hex')
const group = ['a', 'b', 'c'].map(member)
const spare = member('d')
const policyOf = (ackQuorum: number) => ({ replicas: 3, ackQuorum, topology: 'fanout' }) as const

/** Epoch 1 is of another node; its segment is open from the first entry on. */
function ledByOther(ackQuorum: number): StreamMeta {
  const placement = { group: ['a', 'b', 'c'], policy: policyOf(ackQuorum) }
  return opened(elected(newStreamMeta(stream), peer('n1'), 'x'), 'y', { tail: lsn(0), tailDigest: zeros }, placement)
}

class Candidate {
  state: RecoveryState
  effects: readonly RecoveryEffect[]
  nowMs = 1_000

  constructor(ackQuorum = 2, meta = ledByOther(ackQuorum)) {
    const members = new Map(openSegmentOf(meta) === null ? [] : group.map((one) => [one.id, one]))
    const plan = { members, group, policy: policyOf(ackQuorum), spares: [spare] }
    const step = beginRecovery(peer('n2'), 1, { meta, revision: 7 }, plan, this.nowMs)
    this.state = step.state
    this.effects = step.effects
  }

  on(event: RecoveryEvent): readonly RecoveryEffect[] {
    const step = stepRecovery(this.state, event)
    this.state = step.state
    this.effects = step.effects
    return step.effects
  }

  answer = (answer: ServerAnswer): readonly RecoveryEffect[] => this.on({ kind: 'answer', answer })
  sealed = (id: string, segment: SegmentState | null): readonly RecoveryEffect[] =>
    this.answer(sealedAnswer(id, epoch(2), segment))
  later = (ms: number): readonly RecoveryEffect[] => {
    this.nowMs += ms
    return this.on({ kind: 'tick', nowMs: this.nowMs })
  }

  get swap() {
    return this.effects.find((effect) => effect.do === 'swap')
  }

  /** O2 */
  elect(): this {
    const nonce = this.swap?.nonce ?? ''
    this.on({ kind: 'swapped', nonce, revision: 8 })
    return this
  }

  get leader(): LeaderState | undefined {
    return this.effects.find((effect) => effect.do === 'lead')?.leader
  }
}

const did = (effects: readonly RecoveryEffect[]): readonly string[] =>
  effects.map((effect) => (effect.do === 'send' ? `${effect.request.kind} ${effect.to.id}` : effect.do))

describe('a candidate', () => {
  it('begins with the swap for the next epoch, and seals when it is made', () => {
    const one = new Candidate()
    expect(one.swap).toMatchObject({ expectedRevision: 7, meta: { epoch: 2, leader: { id: 'n2' } } })
    one.elect()
    expect(did(one.effects)).toEqual(['seal a', 'seal b', 'seal c'])
  })

  it('opens the first segment of a new stream at once', () => {
    const one = new Candidate(2, newStreamMeta(stream)).elect()
    expect(one.swap).toMatchObject({ expectedRevision: 8, meta: { epoch: 1, segments: [{ epoch: 1, base: 1 }] } })
  })

  it('has lost when somebody else was faster, and says who', () => {
    const one = new Candidate()
    const other = elected(ledByOther(2), peer('n3'), 'z')
    const nonce = one.swap?.nonce ?? ''
    expect(one.on({ kind: 'conflict', nonce, current: { meta: other, revision: 8 } })).toEqual([
      { do: 'lost', promised: 2, leader: peer('n3') },
    ])
    expect(one.later(1_000)).toEqual([])
  })

  it('sends a swap again whose answer was lost, and knows by the nonce that it was made', () => {
    const one = new Candidate()
    const { nonce = '', meta = newStreamMeta('') } = one.swap ?? {}
    expect(one.on({ kind: 'swapLost', nonce })).toEqual([])
    expect(one.later(50)).toMatchObject([{ do: 'swap', nonce, expectedRevision: 7 }])
    one.on({ kind: 'conflict', nonce, current: { meta, revision: 8 } })
    expect(one.state.phase).toBe('sealing')
  })

  it('has another nonce in each try', () => {
    const plan = { members: new Map(), group, policy: policyOf(2), spares: [] }
    const record = { meta: ledByOther(2), revision: 1 }
    const nonces = [1, 2].map((attempt) => beginRecovery(peer('n2'), attempt, record, plan, 0).state.swap?.nonce)
    expect(nonces[0]).not.toBe(nonces[1])
  })

  it('asks again whoever has not promised', () => {
    const one = new Candidate().elect()
    one.sealed('a', segmentState(2))
    expect(did(one.later(250))).toEqual(['seal b', 'seal c'])
  })

  it('counts no server that is not the registered one (I17)', () => {
    const one = new Candidate().elect()
    one.sealed('a', segmentState(3))
    one.answer({ ...sealedAnswer('b', epoch(2), null), identity: 'another-disk' })
    expect(one.state.phase).toBe('sealing')
  })

  it('takes no answer that is about a former epoch for one about its own', () => {
    const one = new Candidate()
    one.answer(sealedAnswer('a', epoch(1), segmentState(3)))
    one.answer(sealedAnswer('b', epoch(1), segmentState(3)))
    one.elect()
    expect(one.state.answers.size).toBe(0)
    one.answer(sealedAnswer('a', epoch(1), segmentState(3)))
    one.answer(sealedAnswer('a', epoch(2), segmentState(3, { segmentEpoch: epoch(9) })))
    expect(one.state.answers.size).toBe(0)
  })

  it('gives way to a higher promise', () => {
    const one = new Candidate().elect()
    expect(one.answer(fencedAnswer('a', epoch(2), epoch(2)))).toEqual([])
    expect(one.answer(fencedAnswer('a', epoch(2), epoch(3)))).toMatchObject([{ do: 'lost', promised: 3 }])
  })

  it('opens at once where enough servers have all', () => {
    const one = new Candidate().elect()
    one.sealed('a', segmentState(3))
    one.sealed('c', segmentState(3))
    expect(one.swap).toMatchObject({
      expectedRevision: 8,
      meta: {
        epoch: 2,
        segments: [
          { state: 'sealed', tail: 3, group: ['a', 'b', 'c'] },
          { epoch: 2, base: 4 },
        ],
      },
    })
  })

  it('gets the bytes and repairs with them before it seals (I10)', () => {
    const one = new Candidate().elect()
    one.sealed('a', segmentState(3))
    const effects = one.sealed('b', segmentState(1))
    expect(effects).toMatchObject([{ do: 'fetch', segmentEpoch: 1, after: 1, upTo: 3 }])
    expect(one.swap).toBeUndefined()
    const digest = batches(3).at(-1)?.digest ?? emptyDigest
    expect(one.on({ kind: 'fetched', after: lsn(1), upTo: lsn(3), digest })).toMatchObject([
      { do: 'stream', to: { id: 'b' }, epoch: 2, segmentEpoch: 1, after: 1, upTo: 3 },
    ])
    one.answer(appended('b', 3, epoch(2), epoch(1)))
    expect(one.swap).toMatchObject({ meta: { segments: [{ tail: 3, tailDigest: digest.toString('hex') }, {}] } })
  })

  it('adds a server to the sealed group where enough of it cannot be had', () => {
    const one = new Candidate(3).elect()
    one.sealed('a', segmentState(2))
    expect(one.state.phase).toBe('repairing')
    let effects: readonly RecoveryEffect[] = []
    for (let i = 0; i < 6 && !did(effects).includes('openSegment d'); i++) {
      effects = one.later(500)
      if (effects.some((effect) => effect.do === 'fetch')) {
        const digest = batches(2).at(-1)?.digest ?? emptyDigest
        effects = one.on({ kind: 'fetched', after: lsn(0), upTo: lsn(2), digest })
      }
    }
    const opening = effects.find((effect) => effect.do === 'send' && effect.to.id === 'd')
    const id = opening?.do === 'send' ? opening.request.id : 0
    one.answer(stateAnswer('d', id, epoch(2), segmentState(0)))
    one.answer(appended('d', 2, epoch(2), epoch(1)))
    expect(one.swap).toBeUndefined()
    const again = one.state.track?.members.get('b')?.lastId ?? 0
    one.answer(stateAnswer('b', again, epoch(2), segmentState(2)))
    expect(one.swap).toMatchObject({ meta: { segments: [{ group: ['a', 'b', 'c', 'd'] }, {}] } })
  })

  it('leads when the second swap is made, from the end that was sealed', () => {
    const one = new Candidate().elect()
    one.sealed('a', segmentState(3))
    one.sealed('b', segmentState(3))
    const nonce = one.swap?.nonce ?? ''
    one.on({ kind: 'swapped', nonce, revision: 9 })
    expect(one.leader).toMatchObject({
      revision: 9,
      last: { lsn: 3 },
      committed: { lsn: 3 },
      open: { segmentEpoch: 2, base: 4 },
      sealed: [{ segmentEpoch: 1, end: { tail: 3, isSealed: true } }],
    })
    expect([...(one.leader?.sealed[0]?.members.keys() ?? [])]).toEqual(['a', 'b', 'c'])
  })

  it('leads nothing when its epoch was taken while it repaired', () => {
    const one = new Candidate().elect()
    one.sealed('a', segmentState(3))
    one.sealed('b', segmentState(3))
    const nonce = one.swap?.nonce ?? ''
    const other = elected(one.state.meta, peer('n3'), 'z')
    expect(one.on({ kind: 'conflict', nonce, current: { meta: other, revision: 9 } })).toMatchObject([
      { do: 'lost', promised: 3 },
    ])
  })
})
