import { describe, expect, it } from 'vitest'
import { epoch, lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest } from '../../../src/replication/batch.ts'
import {
  archived,
  elected,
  newStreamMeta,
  opened,
  openSegmentOf,
  type Peer,
  regrouped,
  resigned,
  rolled,
  type StreamMeta,
  sealedEndOf,
  trimmed,
} from '../../../src/replication/stream-meta.ts'
import { decodeStreamMeta, encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'

const peer = (id: string): Peer => ({ id, incarnation: `${id}#1`, address: `${id}:1` })
const policy = { replicas: 3, ackQuorum: 2, topology: 'fanout' } as const
const placement = (...group: string[]) => ({ group, policy })
const zeros = emptyDigest.toString('hex')
const digest = (byte: string): string => byte.repeat(32)

/** Led by n1, with segments 1 to 10, 11 to 20, and an open one. */
function grown(): StreamMeta {
  let meta = elected(newStreamMeta('s'), peer('n1'), 'a')
  meta = opened(meta, 'b', { tail: lsn(0), tailDigest: zeros }, placement('x', 'y', 'z'))
  meta = rolled(meta, 'c', { tail: lsn(10), tailDigest: digest('1') }, placement('x', 'y', 'z'))
  return rolled(meta, 'd', { tail: lsn(20), tailDigest: digest('2') }, placement('x', 'y', 'w'))
}

describe('the record of a stream', () => {
  it('begins with the first epoch and an open segment at the first entry', () => {
    const meta = opened(
      elected(newStreamMeta('s'), peer('n1'), 'a'),
      'b',
      { tail: lsn(0), tailDigest: zeros },
      placement('x', 'y', 'z'),
    )
    expect(meta).toMatchObject({ epoch: 1, leader: { id: 'n1' }, nonce: 'b' })
    expect(openSegmentOf(meta)).toMatchObject({ epoch: 1, base: 1, baseDigest: zeros })
  })

  it('rolls into a segment behind the sealed one, under the next epoch of the same leader', () => {
    const meta = grown()
    expect(meta.segments.map(({ epoch: of, base, state }) => [of, base, state])).toEqual([
      [1, 1, 'sealed'],
      [2, 11, 'sealed'],
      [3, 21, 'open'],
    ])
    expect(meta.leader?.id).toBe('n1')
    expect(sealedEndOf(meta)).toEqual({ tail: 20, tailDigest: digest('2') })
  })

  it('leaves an empty segment out when the next one is opened', () => {
    const meta = opened(
      elected(grown(), peer('n2'), 'e'),
      'f',
      { tail: lsn(20), tailDigest: digest('2') },
      placement('x', 'y', 'z'),
    )
    expect(meta.segments.map(({ epoch: of }) => of)).toEqual([1, 2, 4])
  })

  it('takes the servers that repaired a segment into its group', () => {
    const end = { tail: lsn(25), tailDigest: digest('3') }
    const meta = opened(elected(grown(), peer('n2'), 'e'), 'f', end, placement('x', 'y', 'z'), ['x', 'y', 'w', 'v'])
    expect(meta.segments.find(({ epoch: of }) => of === 3)?.group).toEqual(['x', 'y', 'w', 'v'])
  })

  it('never ends a segment before its beginning, or in two places', () => {
    const meta = elected(grown(), peer('n2'), 'e')
    expect(() => opened(meta, 'f', { tail: lsn(19), tailDigest: digest('2') }, placement('x'))).toThrow('I9')
    const twice = { ...meta, segments: meta.segments.slice(0, 2) }
    expect(() => opened(twice, 'f', { tail: lsn(21), tailDigest: digest('2') }, placement('x'))).toThrow('I9')
  })

  it('is trimmed up to the open segment, and what lies in no archive is kept where there is one', () => {
    const meta = grown()
    expect(trimmed(meta, 'e', lsn(99), false)).toMatchObject({ trimLsn: 20, segments: [{ epoch: 3 }] })
    expect(trimmed(meta, 'e', lsn(15), false)).toMatchObject({ trimLsn: 15, segments: [{ epoch: 2 }, { epoch: 3 }] })
    expect(trimmed(meta, 'e', lsn(99), true)).toBeNull()
    const kept = trimmed(archived(meta, 'e', epoch(1), 'object'), 'f', lsn(99), true)
    expect(kept).toMatchObject({ trimLsn: 10, segments: [{ epoch: 2 }, { epoch: 3 }] })
    expect(trimmed(kept as StreamMeta, 'g', lsn(5), true)).toBeNull()
  })

  it('moves sealed segments and no others', () => {
    expect(regrouped(grown(), 'e', epoch(1), ['v', 'w'])).toMatchObject({ segments: [{ group: ['v', 'w'] }, {}, {}] })
    expect(() => regrouped(grown(), 'e', epoch(3), ['v', 'w'])).toThrow('no sealed segment')
  })

  it('keeps the epoch of a leader that leaves', () => {
    expect(resigned(grown(), 'e')).toMatchObject({ epoch: 3, leader: null })
  })
})

describe('the form of a record', () => {
  it('comes back', () => {
    for (const meta of [newStreamMeta('s'), grown(), archived(grown(), 'e', epoch(2), 'object')])
      expect(decodeStreamMeta(encodeStreamMeta(meta))).toEqual(meta)
  })

  interface Loose {
    format?: unknown
    epoch: unknown
    segments: object[]
  }
  const broken = (change: (record: Loose) => void): string => {
    const record = JSON.parse(encodeStreamMeta(grown())) as Loose
    change(record)
    return JSON.stringify(record)
  }
  const brokenSegment = (index: number, change: object): string =>
    broken(({ segments }) => Object.assign(segments[index] as object, change))

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['null', 'null'],
    [
      'no format',
      broken((record) => {
        delete record.format
      }),
    ],
    ['an epoch that is none', broken((record) => Object.assign(record, { epoch: -1 }))],
    ['a segment of a later epoch', broken((record) => Object.assign(record, { epoch: 2 }))],
    ['a gap', brokenSegment(2, { base: 22 })],
    ['another digest behind a segment', brokenSegment(2, { baseDigest: digest('9') })],
    ['a tail before the base', brokenSegment(0, { tail: 0 })],
    ['an open segment in between', brokenSegment(1, { state: 'open' })],
    ['a server twice', brokenSegment(0, { group: ['x', 'x'] })],
    ['nobody in a group', brokenSegment(0, { group: [] })],
    ['a digest that is none', brokenSegment(0, { baseDigest: 'zz' })],
  ])('is refused with %s', (_what, text) => {
    expect(() => decodeStreamMeta(text)).toThrow(expect.objectContaining({ code: 'protocol_violation' }))
  })

  it('of a newer version is refused with what to do', () => {
    const newer = encodeStreamMeta(grown()).replace('"format":1', '"format":2')
    expect(() => decodeStreamMeta(newer)).toThrow(expect.objectContaining({ code: 'unsupported_version' }))
  })
})
