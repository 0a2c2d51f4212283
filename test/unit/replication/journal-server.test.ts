import { beforeEach, describe, expect, it } from 'vitest'
import { type Epoch, epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { stepServer } from '../../../src/replication/journal-server.ts'
import {
  newServerSegment,
  newServerStream,
  type ServerEffect,
  type ServerEvent,
  type ServerSegment,
  type ServerStream,
} from '../../../src/replication/journal-server-state.ts'
import type { AppendRequest, ServerRequest } from '../../../src/replication/messages.ts'
import { batches, member, stream } from './chain-of-batches.ts'

const five = batches(5)
const digestAt = (at: number) => five[at - 1]?.digest ?? null
const one = epoch(1)

let state: ServerStream
let id = 0

beforeEach(() => {
  state = newServerStream(stream, 'a', 'a-disk', epoch(0), [])
  id = 0
})

function step(event: ServerEvent): readonly ServerEffect[] {
  const result = stepServer(state, event)
  state = result.state
  return result.effects
}

type Content = Record<string, unknown> & { readonly kind: ServerRequest['kind'] }

const request = (content: Content, held: Buffer | null = null, from = 'leader'): readonly ServerEffect[] =>
  step({
    kind: 'request',
    from,
    held,
    request: { id: ++id, stream, epoch: one, segmentEpoch: one, ...content } as never,
  })

const open = (of: Epoch = one): readonly ServerEffect[] =>
  request({ kind: 'openSegment', epoch: of, segmentEpoch: of, base: lsn(1), baseDigest: emptyDigest })

const append = (
  sent: readonly ReplicatedBatch[],
  more: Partial<AppendRequest> = {},
  held: Buffer | null = null,
): readonly ServerEffect[] => request({ kind: 'append', batches: sent, committed: lsn(0), next: [], ...more }, held)

const flushed = (upTo: number): readonly ServerEffect[] =>
  step({ kind: 'flushed', segmentEpoch: one, flushed: lsn(upTo) })

const did = (effects: readonly ServerEffect[]): readonly string[] => effects.map((effect) => effect.do)
const answers = (effects: readonly ServerEffect[]) =>
  effects.flatMap((effect) => (effect.do === 'answer' ? [effect.answer] : []))
const refusals = (effects: readonly ServerEffect[]) =>
  answers(effects).flatMap((answer) => (answer.kind === 'refused' ? [answer.refusal] : []))

describe('a journal server', () => {
  it('makes a promise durable before anything is done because of it (I4)', () => {
    expect(did(open())).toEqual(['promise', 'createSegment', 'answer'])
    expect(state.promised).toBe(1)
    expect(did(request({ kind: 'seal', epoch: epoch(4) }))).toEqual(['promise', 'answer'])
    expect(state.promised).toBe(4)
  })

  it.each(['openSegment', 'append', 'seal', 'finish', 'rewind', 'commit', 'confirm', 'trim'] as const)(
    'takes no %s from whoever is below its promise, and says what it promised (I5)',
    (kind) => {
      open()
      request({ kind: 'seal', epoch: epoch(3) })
      const before = state
      const content = {
        base: lsn(1),
        baseDigest: emptyDigest,
        batches: five,
        committed: lsn(0),
        next: [],
        tail: lsn(0),
      }
      const effects = request({ ...content, kind, epoch: epoch(2), after: lsn(0), trimLsn: lsn(9) })
      expect(refusals(effects)).toEqual([{ reason: 'fenced', promised: 3 }])
      expect(state).toEqual(before)
    },
  )

  it('acknowledges what is flushed, at once and by one answer for all of it (I6)', () => {
    open()
    expect(did(append(five.slice(0, 2)))).toEqual(['write', 'flush'])
    expect(did(append(five.slice(2, 3)))).toEqual(['write'])
    const effects = flushed(3)
    expect(answers(effects)).toMatchObject([{ kind: 'appended', epoch: 1, acks: [{ server: 'a', flushed: 3 }] }])
  })

  it('flushes again what was written meanwhile', () => {
    open()
    append(five.slice(0, 1))
    append(five.slice(1, 2))
    expect(did(flushed(1))).toEqual(['flush', 'answer'])
    expect(answers(flushed(2))).toMatchObject([{ acks: [{ flushed: 2 }] }])
  })

  it('acknowledges nothing to a deposed leader, though it was on its way to the disk (I5)', () => {
    open()
    append(five.slice(0, 2))
    const sealed = request({ kind: 'seal', epoch: epoch(2) })
    expect(did(sealed)).toEqual(['promise', 'answer', 'answer'])
    expect(refusals(sealed)).toEqual([{ reason: 'fenced', promised: 2 }])
    expect(answers(flushed(2))).toEqual([])
  })

  it('tells with its promise what is flushed, and not what is on its way', () => {
    open()
    append(five.slice(0, 2))
    flushed(2)
    append(five.slice(2, 4))
    const told = answers(request({ kind: 'seal', epoch: epoch(2) })).find(({ kind }) => kind === 'sealed')
    expect(told).toMatchObject({ promised: 2, segment: { flushed: 2, flushedDigest: digestAt(2), atLeast: false } })
  })

  it('says that it never had a segment', () => {
    expect(answers(request({ kind: 'seal', epoch: epoch(2) }))).toMatchObject([{ kind: 'sealed', segment: null }])
    expect(refusals(append(five, { epoch: epoch(2) }))).toEqual([{ reason: 'unknownSegment' }])
  })

  it('refuses what does not follow on what it has, and says how far it is (I3)', () => {
    open()
    append(five.slice(0, 2))
    expect(refusals(append(five.slice(3)))).toEqual([{ reason: 'gap', matched: 2 }])
  })

  it('takes again what it has, and what of it is new', () => {
    open()
    append(five.slice(0, 3))
    flushed(3)
    expect(answers(append(five.slice(0, 3), {}, digestAt(3)))).toMatchObject([{ acks: [{ flushed: 3 }] }])
    expect(append(five.slice(1))).toContainEqual({ do: 'write', segmentEpoch: 1, skip: 2, committed: 0 })
  })

  it('never overwrites: something else in its place is refused, with an alarm (I2)', () => {
    open()
    append(five.slice(0, 3))
    flushed(3)
    const others = batches(5, 'other')
    const effects = append(others.slice(0, 3), {}, digestAt(3))
    expect(did(effects)).toEqual(['alarm', 'answer'])
    expect(refusals(effects)).toEqual([{ reason: 'conflict', lsn: 3 }])
    expect(refusals(append(others.slice(2)))).toEqual([{ reason: 'conflict', lsn: 3 }])
    const wide = makeBatch(digestAt(2) as Buffer, lsn(3), 2, Buffer.alloc(8))
    expect(refusals(append([wide]))).toEqual([{ reason: 'conflict', lsn: 3 }])
  })

  it('refuses batches that do not follow on each other', () => {
    open()
    expect(refusals(append([five[0] as ReplicatedBatch, five[2] as ReplicatedBatch]))).toMatchObject([
      { reason: 'malformed' },
    ])
  })

  it('drops what lies above the sealed tail, and takes the rest for committed', () => {
    open()
    append(five)
    flushed(5)
    const finish = { kind: 'finish', epoch: epoch(2), tail: lsn(3), tailDigest: digestAt(3) } as const
    expect(request(finish, digestAt(3))).toContainEqual({ do: 'truncate', segmentEpoch: 1, after: 3 })
    expect(state.segments.get(one)).toMatchObject({ flushed: 3, committed: 3, finishedAt: 3 })
    expect(refusals(append(five.slice(3), { epoch: epoch(2) }))).toEqual([{ reason: 'sealed', tail: 3 }])
    expect(did(request(finish, digestAt(3)))).toEqual(['answer'])
    expect(did(request({ ...finish, tail: lsn(4) }, digestAt(4)))).toEqual(['alarm', 'answer'])
  })

  it('raises the alarm where it has another digest at the sealed tail', () => {
    open()
    append(five)
    flushed(5)
    const other = { kind: 'finish', epoch: epoch(2), tail: lsn(3), tailDigest: digestAt(2) } as const
    expect(did(request(other, digestAt(3)))).toEqual(['promise', 'alarm', 'answer'])
    expect(state.segments.get(one)?.flushed).toBe(5)
  })

  it('acknowledges nothing that was cut off while it was flushed', () => {
    open()
    append(five)
    request({ kind: 'finish', epoch: epoch(2), tail: lsn(2), tailDigest: digestAt(2) }, digestAt(2))
    flushed(5)
    expect(state.segments.get(one)?.flushed).toBe(2)
  })

  it('gives readers what is committed and flushed, by its own hint or by what they know (I11)', () => {
    open()
    append(five, { committed: lsn(4) })
    flushed(3)
    const read = (more: object = {}): readonly ServerEffect[] =>
      request({
        kind: 'read',
        epoch: epoch(0),
        from: lsn(1),
        until: lsn(9),
        bytesMax: 1,
        purpose: 'known',
        committed: lsn(0),
        ...more,
      })
    expect(read()).toMatchObject([{ do: 'read', from: 1, until: 3 }])
    flushed(5)
    expect(read()).toMatchObject([{ do: 'read', until: 4 }])
    expect(read({ committed: lsn(5) })).toMatchObject([{ do: 'read', until: 5 }])
    expect(read({ purpose: 'repair', epoch: one })).toMatchObject([{ do: 'read', until: 5 }])
    expect(refusals(read({ purpose: 'repair' }))).toMatchObject([{ reason: 'fenced' }])
  })

  it('drops segments that are trimmed, but for the newest', () => {
    open()
    append(five)
    flushed(5)
    request({ kind: 'openSegment', epoch: epoch(2), segmentEpoch: epoch(2), base: lsn(6), baseDigest: digestAt(5) })
    expect(did(request({ kind: 'trim', epoch: epoch(2), trimLsn: lsn(4) }))).toEqual(['answer'])
    expect(request({ kind: 'trim', epoch: epoch(2), trimLsn: lsn(9) })[0]).toEqual({ do: 'dropSegments', before: 10 })
    expect([...state.segments.keys()]).toEqual([2])
  })

  it('confirms that nobody was promised more, and not to whoever was deposed', () => {
    open(epoch(3))
    expect(answers(request({ kind: 'confirm', epoch: epoch(3) }))).toMatchObject([{ kind: 'confirmed', epoch: 3 }])
    expect(refusals(request({ kind: 'confirm', epoch: epoch(2) }))).toEqual([{ reason: 'fenced', promised: 3 }])
  })

  it('refuses what finds no room, and keeps what it has', () => {
    open()
    append(five.slice(0, 2))
    flushed(2)
    append(five.slice(2))
    const effects = step({ kind: 'full', segmentEpoch: one, written: lsn(2) })
    expect(refusals(effects)).toEqual([{ reason: 'full' }])
    flushed(2)
    expect(did(append(five.slice(2)))).toEqual(['write', 'flush'])
  })
})

describe('a journal server with damage', () => {
  const withDamage = (more: Partial<ServerSegment>): void => {
    const segment = newServerSegment({
      segmentEpoch: one,
      base: lsn(1),
      baseDigest: emptyDigest,
      flushed: lsn(5),
      flushedDigest: digestAt(5),
      ...more,
    })
    state = newServerStream(stream, 'a', 'a-disk', one, [segment])
  }

  it('tells it, and never that there is nothing (I14)', () => {
    withDamage({ damaged: [{ from: lsn(2), to: lsn(3) }], atLeast: true })
    const [told] = answers(request({ kind: 'seal', epoch: epoch(2) }))
    expect(told).toMatchObject({ segment: { flushed: 5, atLeast: true, damaged: [{ from: 2, to: 3 }] } })
  })

  it('gives what is whole before the damage, and refuses what is damaged', () => {
    withDamage({ damaged: [{ from: lsn(3), to: lsn(3) }], committed: lsn(5) })
    const read = (from: number): readonly ServerEffect[] =>
      request({
        kind: 'read',
        epoch: one,
        from: lsn(from),
        until: lsn(5),
        bytesMax: 1,
        purpose: 'known',
        committed: lsn(0),
      })
    expect(read(1)).toMatchObject([{ do: 'read', until: 2 }])
    expect(refusals(read(3))).toEqual([{ reason: 'damaged', from: 3, to: 3 }])
    expect(read(4)).toMatchObject([{ do: 'read', from: 4, until: 5 }])
  })

  it('drops what is damaged when it is told to take it again, and nothing when the request came late', () => {
    withDamage({ damaged: [{ from: lsn(3), to: lsn(3) }] })
    const rewind = { kind: 'rewind', after: lsn(2) } as const
    expect(request(rewind, digestAt(2))).toContainEqual({ do: 'truncate', segmentEpoch: 1, after: 2 })
    expect(state.segments.get(one)).toMatchObject({ flushed: 2, damaged: [], atLeast: true })
    append(five.slice(2), {}, digestAt(5))
    flushed(5)
    expect(did(request(rewind, digestAt(2)))).toEqual(['answer'])
    expect(state.segments.get(one)?.flushed).toBe(5)
  })

  it('is whole again once it has all up to the sealed tail', () => {
    withDamage({ flushed: lsn(2), flushedDigest: digestAt(2), atLeast: true })
    request({ kind: 'finish', tail: lsn(5), tailDigest: digestAt(5) })
    expect(state.segments.get(one)?.atLeast).toBe(true)
    append(five.slice(2), {}, digestAt(5))
    flushed(5)
    expect(state.segments.get(one)?.atLeast).toBe(false)
  })

  it('takes nothing behind an end that it cannot read', () => {
    withDamage({ flushed: lsn(3), flushedDigest: null })
    expect(refusals(append(five.slice(3)))).toEqual([{ reason: 'damaged', from: 3, to: 3 }])
  })
})

describe('a journal server in a chain', () => {
  const b = member('b')
  const c = member('c')

  it('passes on while it flushes, and returns what those behind it acknowledge', () => {
    open()
    const effects = append(five.slice(0, 1), { next: [b, c] })
    expect(did(effects)).toEqual(['write', 'forward', 'flush'])
    expect(effects[1]).toEqual({ do: 'forward', to: b, next: [c] })
    const acks = ['b', 'c'].map((server) => ({ server, identity: `${server}-disk`, flushed: lsn(1) }))
    const behind = {
      kind: 'appended',
      id: 1,
      stream,
      server: 'b',
      identity: 'b-disk',
      segmentEpoch: one,
      epoch: one,
      acks,
    } as const
    expect(answers(step({ kind: 'answer', answer: behind }))).toMatchObject([
      {
        server: 'a',
        acks: [
          { server: 'a', flushed: 0 },
          { server: 'b', flushed: 1 },
          { server: 'c', flushed: 1 },
        ],
      },
    ])
    expect(answers(flushed(1))).toMatchObject([
      { acks: [{ server: 'a', flushed: 1 }, { server: 'b' }, { server: 'c' }] },
    ])
  })

  it('returns their refusals as they are, and nothing to a deposed leader', () => {
    open()
    append(five.slice(0, 1), { next: [b] })
    const refusal = { reason: 'gap', matched: lsn(0) } as const
    const behind = {
      kind: 'refused',
      id: 1,
      stream,
      server: 'b',
      identity: 'b-disk',
      segmentEpoch: one,
      epoch: one,
      refusal,
    } as const
    expect(answers(step({ kind: 'answer', answer: behind }))).toEqual([behind])
    request({ kind: 'seal', epoch: epoch(2) })
    expect(step({ kind: 'answer', answer: behind })).toEqual([])
  })

  it('passes nothing on that it refuses', () => {
    open()
    expect(did(append(five.slice(2), { next: [b] }))).toEqual(['answer'])
  })
})
