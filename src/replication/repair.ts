import { assert } from '../kernel/assert.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Digest } from './batch.ts'
import type { Member, SegmentState, ServerId } from './messages.ts'
import type { RecoveryEffect, RecoveryState, RecoveryStep } from './recovery-state.ts'
import { rules } from './rules.ts'
import { knownCommitted } from './seal-goal.ts'
import { holdersOf, newProgress, type Planned, type Progress, planTrack, type Track } from './segment-track.ts'
import { type OpenSegment, openSegmentOf } from './stream-meta.ts'

/** O5: the `ackQuorum` servers that have most get what they lack; more of them join where that takes too long. */
export function beginRepair(state: RecoveryState, segment: OpenSegment, goal: Lsn): RecoveryState {
  const baseDigest = Buffer.from(segment.baseDigest, 'hex')
  const digest = goal < segment.base ? baseDigest : toldDigest(state, goal)
  const track: Track = {
    segmentEpoch: segment.epoch,
    base: segment.base,
    baseDigest,
    policy: segment.policy,
    end: { tail: goal, tailDigest: digest ?? baseDigest, isSealed: false },
    members: new Map(),
  }
  const begun: RecoveryState = {
    ...state,
    phase: 'repairing',
    goal: { lsn: goal, digest },
    track,
    widenedMs: state.nowMs,
  }
  return widened(begun, segment.policy.ackQuorum)
}

function toldDigest({ answers }: RecoveryState, goal: Lsn): Digest | null {
  const one = [...answers.values()].find((state) => state?.flushed === goal && !isDamagedAt(state, goal))
  return one?.flushedDigest ?? null
}

const isDamagedAt = ({ damaged }: SegmentState, at: Lsn): boolean =>
  damaged.some(({ from, to }) => from <= at && at <= to)

/** `count` further servers: of the group those that told, by what they have, then the others, then replacements. */
function widened(state: RecoveryState, count: number): RecoveryState {
  const track = state.track as Track
  const members = new Map(track.members)
  for (const member of inOrder(state)
    .filter(({ id }) => !members.has(id))
    .slice(0, count))
    members.set(member.id, progressOf(state, member))
  return { ...state, track: { ...track, members } }
}

function inOrder({ plan, answers }: RecoveryState): readonly Member[] {
  const held = (id: ServerId): number => answers.get(id)?.flushed ?? (answers.has(id) ? 0 : -1)
  const group = [...plan.members.values()]
    // What is damaged is repaired after the seal, when enough others have it.
    .filter(({ id }) => (answers.get(id)?.damaged.length ?? 0) === 0)
    .sort((a, b) => held(b.id) - held(a.id))
  return [...group, ...plan.spares.filter(({ id }) => !plan.members.has(id))]
}

function progressOf({ answers, goal, nextId, track, nowMs }: RecoveryState, member: Member): Progress {
  const { base } = track as Track
  const told = answers.get(member.id) ?? null
  const fresh = newProgress(member, base)
  if (told === null) return fresh
  const flushed = lsn(Math.min(told.flushed, (goal as { readonly lsn: Lsn }).lsn))
  return { ...fresh, isOpened: true, flushed, sent: flushed, learnedId: nextId - 1, lastId: nextId - 1, movedMs: nowMs }
}

/** The group of the sealed segment with all who were needed, as soon as enough of them have all of it; null until then. */
export function repairedGroup(state: RecoveryState): readonly ServerId[] | null {
  const { track, goal, plan } = state
  const segment = openSegmentOf(state.meta)
  if (track === null || goal === null || goal.digest === null || segment === null) return null
  const target = rules.repairGoal(goal.lsn, knownCommitted(segment, state.answers))
  const isWhole = goal.lsn < track.base || rules.isRepaired(holdersOf(track, target), track.policy)
  if (!isWhole) return null
  const added = [...track.members.values()].filter(
    ({ member, flushed }) => !plan.members.has(member.id) && flushed >= goal.lsn,
  )
  return [...segment.group, ...added.map(({ member }) => member.id).filter((id) => !segment.group.includes(id))]
}

/** What is to be done now: widen, get the bytes, send them. */
export function repair(state: RecoveryState): RecoveryStep {
  const isLate = state.nowMs - state.widenedMs >= 2 * limits.replicationRetryMs
  const current = isLate ? { ...widened(state, 1), widenedMs: state.nowMs } : state
  const track = current.track as Track
  const goal = current.goal as NonNullable<RecoveryState['goal']>
  if (repairedGroup(current) !== null) return { state: current, effects: [] }
  const lowest = Math.min(goal.lsn, ...[...track.members.values()].map(({ flushed }) => flushed))
  // Where all have all and only the digest is missing, the last entries tell it.
  const after = lsn(goal.digest === null ? Math.min(lowest, track.base - 1) : lowest)
  if (after < goal.lsn && (current.fetchedAfter === null || current.fetchedAfter > after))
    return askForBytes(current, after)
  const { stream, epoch } = current.meta
  const sender = { stream, epoch, nowMs: current.nowMs, nextId: current.nextId, isDue: true }
  const planned: Planned = planTrack(track, sender, goal.lsn, knownCommitted(segmentOf(current), current.answers))
  return { state: { ...current, track: planned.track, nextId: planned.nextId }, effects: planned.effects }
}

function segmentOf({ meta }: RecoveryState): OpenSegment {
  const segment = openSegmentOf(meta)
  assert(segment !== null, 'what is repaired is the open segment')
  return segment
}

/** Servers that have nothing yet are opened meanwhile. */
function askForBytes(state: RecoveryState, after: Lsn): RecoveryStep {
  if (state.nowMs - state.fetchMs < 2 * limits.replicationRetryMs) return { state, effects: [] }
  const track = state.track as Track
  const sources = [...state.answers].flatMap(([id, told]) => {
    const member = state.plan.members.get(id)
    return told === null || member === undefined ? [] : [{ member, state: told }]
  })
  const { segmentEpoch } = track
  const upTo = (state.goal as { readonly lsn: Lsn }).lsn
  const effect: RecoveryEffect = { do: 'fetch', epoch: state.meta.epoch, segmentEpoch, after, upTo, sources }
  return { state: { ...state, fetchMs: state.nowMs }, effects: [effect] }
}
