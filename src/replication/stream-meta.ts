import { assert } from '../kernel/assert.ts'
import { type Epoch, epoch, type Lsn, lsn, noEpoch, noLsn } from '../kernel/identifiers.ts'
import { emptyDigest } from './batch.ts'
import type { ServerId } from './messages.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { rules } from './rules.ts'

/** A node of the database. A restarted process is another incarnation, and takes another epoch. */
export interface Peer {
  readonly id: string
  readonly incarnation: string
  /** Where followers ask for the tail. */
  readonly address: string
}

/**
 * The record of a stream in the metadata store, one key. Whoever changes it does so by one compare-and-swap and with a nonce of
 * its own, so that one whose answer was lost is known again: only the leader and candidates do.
 *
 * - I1: an epoch is of one incarnation, the one whose swap raised it.
 * - I9: a tail is set once, and the next segment begins behind it.
 */
export interface StreamMeta {
  readonly stream: string
  readonly epoch: Epoch
  readonly leader: Peer | null
  readonly nonce: string
  /** Everything up to and with this entry may be gone. */
  readonly trimLsn: Lsn
  /** What is before the first entry was never in the stream: nodes have it in their stores. Default: nothing is. */
  readonly begin?: LogEnd
  /** In order, without gaps. At most the last one is open. One without entries is left out once another one is opened. */
  readonly segments: readonly SegmentMeta[]
}

export type SegmentMeta = OpenSegment | SealedSegment

interface SegmentBase {
  /** The epoch that opened it, and its name. */
  readonly epoch: Epoch
  readonly base: Lsn
  /** Of everything before `base`, in hexadecimal. */
  readonly baseDigest: string
  readonly group: readonly ServerId[]
  readonly policy: ReplicationPolicy
}

export interface OpenSegment extends SegmentBase {
  readonly state: 'open'
}

export interface SealedSegment extends SegmentBase {
  readonly state: 'sealed'
  readonly tail: Lsn
  readonly tailDigest: string
  /** The name of the object in the archive that holds it, verified. */
  readonly archive?: string
}

/** Where the log ends, and its digest there in hexadecimal. */
export interface LogEnd {
  readonly tail: Lsn
  readonly tailDigest: string
}

/** On whom a segment is opened. */
export interface Placement {
  readonly group: readonly ServerId[]
  readonly policy: ReplicationPolicy
}

export const newStreamMeta = (stream: string): StreamMeta => ({
  stream,
  epoch: noEpoch,
  leader: null,
  nonce: '',
  trimLsn: noLsn,
  segments: [],
})

/** A stream that goes on behind the journal of one database: nobody has led it, and no segment was opened. */
export const newStreamBehind = (stream: string, begin: LogEnd): StreamMeta => ({
  ...newStreamMeta(stream),
  trimLsn: begin.tail,
  begin,
})

export function openSegmentOf({ segments }: StreamMeta): OpenSegment | null {
  const last = segments.at(-1)
  return last?.state === 'open' ? last : null
}

/** Behind the last sealed segment. */
export function sealedEndOf({ segments, trimLsn, begin }: StreamMeta): LogEnd {
  const sealed = segments.findLast((segment) => segment.state === 'sealed')
  if (sealed !== undefined) return { tail: sealed.tail, tailDigest: sealed.tailDigest }
  const open = segments[0]
  if (open !== undefined) return { tail: lsn(open.base - 1), tailDigest: open.baseDigest }
  assert(trimLsn === (begin?.tail ?? 0), 'a stream without segments was trimmed')
  return begin ?? { tail: noLsn, tailDigest: emptyDigest.toString('hex') }
}

/** O2: the next epoch, with me as its leader. */
export const elected = (meta: StreamMeta, leader: Peer, nonce: string): StreamMeta => ({
  ...meta,
  epoch: epoch(meta.epoch + 1),
  leader,
  nonce,
})

/**
 * O6: seals the open segment at `end`, and opens the next one. `sealedGroup` has the servers that repaired it, where
 * others than its group had to.
 */
export function opened(
  meta: StreamMeta,
  nonce: string,
  end: LogEnd,
  placement: Placement,
  sealedGroup?: readonly ServerId[],
): StreamMeta {
  const segments = sealedAt(meta, end, sealedGroup)
  const next: OpenSegment = {
    epoch: meta.epoch,
    base: lsn(end.tail + 1),
    baseDigest: end.tailDigest,
    group: placement.group,
    policy: placement.policy,
    state: 'open',
  }
  assert(
    segments.every((segment) => segment.epoch < next.epoch),
    'an epoch opens one segment',
  )
  return { ...meta, nonce, segments: [...segments, next] }
}

/** The same leader goes on under the next epoch, in another segment: it grew too large, or is to lie elsewhere. */
export const rolled = (meta: StreamMeta, nonce: string, end: LogEnd, placement: Placement): StreamMeta =>
  opened({ ...meta, epoch: epoch(meta.epoch + 1) }, nonce, end, placement)

/**
 * Entries up to `trimLsn` are given up. Segments that lie wholly below are left out, except for the last one.
 * @param isArchiving nothing is trimmed that lies in no archive (I13)
 * @returns null where there is nothing to do
 */
export function trimmed(meta: StreamMeta, nonce: string, wanted: Lsn, isArchiving: boolean): StreamMeta | null {
  const kept = meta.segments.find(
    (one) => one.state === 'open' || !rules.mayTrim(isArchiving, one.archive !== undefined),
  )
  const most = kept === undefined ? sealedEndOf(meta).tail : lsn(kept.base - 1)
  const trimLsn = lsn(Math.min(wanted, Math.max(most, meta.trimLsn)))
  if (trimLsn <= meta.trimLsn) return null
  const segments = meta.segments.filter(
    (segment, index) => segment.state === 'open' || segment.tail > trimLsn || index === meta.segments.length - 1,
  )
  return { ...meta, nonce, trimLsn, segments }
}

/** The sealed segment lies in the archive, verified. */
export const archived = (meta: StreamMeta, nonce: string, segmentEpoch: Epoch, archive: string): StreamMeta => ({
  ...meta,
  nonce,
  segments: changed(meta, segmentEpoch, { archive }),
})

/** The sealed segment was copied to other servers. */
export const regrouped = (
  meta: StreamMeta,
  nonce: string,
  segmentEpoch: Epoch,
  group: readonly ServerId[],
): StreamMeta => ({ ...meta, nonce, segments: changed(meta, segmentEpoch, { group }) })

/** The leader leaves; its epoch stays until somebody takes the next one. */
export const resigned = (meta: StreamMeta, nonce: string): StreamMeta => ({ ...meta, leader: null, nonce })

function sealedAt(meta: StreamMeta, end: LogEnd, group?: readonly ServerId[]): readonly SegmentMeta[] {
  const open = openSegmentOf(meta)
  if (open === null) {
    assert(sealedEndOf(meta).tail === end.tail, `the stream ends at ${sealedEndOf(meta).tail}, not at ${end.tail} (I9)`)
    return meta.segments
  }
  assert(end.tail >= open.base - 1, `a segment from ${open.base} on cannot end at ${end.tail} (I9)`)
  const before = meta.segments.slice(0, -1)
  if (end.tail < open.base) {
    assert(end.tailDigest === open.baseDigest, 'an empty segment changes no digest')
    return before
  }
  return [...before, { ...open, group: group ?? open.group, state: 'sealed', ...end }]
}

function changed(
  { segments }: StreamMeta,
  segmentEpoch: Epoch,
  change: Partial<Pick<SealedSegment, 'group' | 'archive'>>,
): readonly SegmentMeta[] {
  assert(
    segments.some((segment) => segment.epoch === segmentEpoch && segment.state === 'sealed'),
    `no sealed segment of epoch ${segmentEpoch}`,
  )
  return segments.map((segment) => (segment.epoch === segmentEpoch ? { ...segment, ...change } : segment))
}
