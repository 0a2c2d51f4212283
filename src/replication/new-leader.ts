import { assert } from '../kernel/assert.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { Digest } from './batch.ts'
import type { LeaderState } from './leader-state.ts'
import type { RecoveryState } from './recovery-state.ts'
import { membersOf, newProgress, type Progress, type Track } from './segment-track.ts'
import { type OpenSegment, openSegmentOf } from './stream-meta.ts'

/** The leader that a candidate becomes by its second swap. `former` is the segment that was sealed by it, if any. */
export function newLeader(state: RecoveryState, former: OpenSegment | null): LeaderState {
  const { meta, revision, me, attempt, plan, nonces, nextId, nowMs } = state
  const segment = openSegmentOf(meta)
  assert(segment !== null && segment.epoch === meta.epoch, 'whoever leads has opened a segment')
  const baseDigest = Buffer.from(segment.baseDigest, 'hex')
  const end = { lsn: lsn(segment.base - 1), digest: baseDigest }
  return {
    stream: meta.stream,
    me,
    attempt,
    meta,
    revision,
    last: end,
    committed: end,
    wanted: end.lsn,
    uncommitted: [],
    open: {
      segmentEpoch: segment.epoch,
      base: segment.base,
      baseDigest,
      policy: segment.policy,
      end: null,
      members: membersOf(plan.group, segment.base),
    },
    isDeviceShared: false,
    isGroupConfirmed: false,
    groupAskedMs: Number.NEGATIVE_INFINITY,
    sealed: former === null ? [] : [sealedTrack(state, former, end.lsn, baseDigest)],
    swap: null,
    wishes: [],
    confirmation: null,
    readers: [],
    isDeposed: false,
    nextId,
    nonces,
    nowMs,
  }
}

/** Every member of the old segment gets all of it and is told where it ends; who never had it, only if there is anything to have. */
function sealedTrack(state: RecoveryState, former: OpenSegment, tail: Lsn, tailDigest: Digest): Track {
  const { track, plan, answers } = state
  const members = new Map<string, Progress>()
  for (const member of plan.members.values()) {
    const isEmpty = tail < former.base && (answers.get(member.id) ?? null) === null
    if (!isEmpty) members.set(member.id, newProgress(member, former.base))
  }
  for (const [id, progress] of track?.members ?? [])
    if (members.has(id) || progress.flushed >= tail) members.set(id, { ...progress, askedMs: Number.NEGATIVE_INFINITY })
  return {
    segmentEpoch: former.epoch,
    base: former.base,
    baseDigest: Buffer.from(former.baseDigest, 'hex'),
    policy: former.policy,
    end: { tail, tailDigest, isSealed: true },
    members,
  }
}
