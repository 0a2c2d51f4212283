import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { BatchHead } from './batch.ts'
import type { Acknowledgement, AppendedAnswer, RefusedAnswer, SegmentStateAnswer, ServerAnswer } from './messages.ts'
import { rules } from './rules.ts'
import { type Progress, type ReplicationEffect, type Track, withProgress } from './segment-track.ts'
import type { Step } from './step.ts'

type TrackStep = Step<Track, ReplicationEffect>

/** What an answer says about how far a segment is. Answers of unregistered servers say nothing (I17). */
export function onTrackAnswer(track: Track, answer: ServerAnswer<BatchHead>, nowMs: number): TrackStep {
  switch (answer.kind) {
    case 'appended':
      return rules.isOf(answer.segmentEpoch, track.segmentEpoch) ? onAppended(track, answer, nowMs) : nothing(track)
    case 'segmentState':
      return answer.segment.segmentEpoch === track.segmentEpoch ? onSegmentState(track, answer, nowMs) : nothing(track)
    case 'refused':
      return answer.segmentEpoch === track.segmentEpoch ? onRefused(track, answer) : nothing(track)
    default:
      return nothing(track)
  }
}

const nothing = (track: Track): TrackStep => ({ state: track, effects: [] })

function onAppended(track: Track, { acks }: AppendedAnswer, nowMs: number): TrackStep {
  let current = track
  for (const ack of acks) {
    const one = registered(current, ack)
    // Before it has said what it has, an acknowledgement may be of a former life.
    if (one === null || !one.isOpened) continue
    const flushed = within(track, ack.flushed)
    if (flushed <= one.flushed) continue
    const sent = lsn(Math.max(one.sent, flushed))
    const isCut = one.isCut && flushed < sent
    current = withProgress(current, { ...one, flushed, sent, isCut, learnedId: one.lastId, movedMs: nowMs })
  }
  return { state: current, effects: [] }
}

/** Of a sealed segment nothing above its tail counts: it is on its way out. */
const within = ({ end }: Track, flushed: Lsn): Lsn => (end !== null && flushed > end.tail ? end.tail : flushed)

const registered = (track: Track, ack: Pick<Acknowledgement, 'server' | 'identity'>): Progress | null => {
  const one = track.members.get(ack.server)
  return one !== undefined && rules.isRegistered(one.member, ack) ? one : null
}

function onSegmentState(track: Track, answer: SegmentStateAnswer, nowMs: number): TrackStep {
  const { segment } = answer
  const one = registered(track, answer)
  if (one === null) return nothing(track)
  const told = lsn(Math.max(one.told, segment.committed))
  if (answer.id <= one.learnedId)
    return { state: withProgress(track, one.isOpened ? { ...one, told } : one), effects: [] }
  const flushed = within(track, segment.flushed)
  const lost = flushed < one.flushed
  const damagedFrom = segment.damaged[0]?.from ?? null
  const next: Progress = {
    ...one,
    isOpened: true,
    flushed,
    sent: one.isOpened && !lost ? lsn(Math.max(one.sent, flushed)) : flushed,
    told: segment.committed,
    isFinished: segment.finished,
    damagedFrom,
    isSuspect: one.isSuspect || lost || segment.atLeast || damagedFrom !== null,
    learnedId: one.lastId,
    askedMs: Number.NEGATIVE_INFINITY,
    movedMs: nowMs,
  }
  const what = `${one.member.id} had entries up to ${one.flushed} of segment ${track.segmentEpoch}, and now up to ${flushed}`
  // What is damaged is dropped, to be taken again, because it was told so.
  return { state: withProgress(track, next), effects: lost && one.damagedFrom === null ? [{ do: 'alarm', what }] : [] }
}

function onRefused(track: Track, answer: RefusedAnswer): TrackStep {
  const one = registered(track, answer)
  if (one === null) return nothing(track)
  const { refusal } = answer
  const { id } = one.member
  switch (refusal.reason) {
    case 'gap':
      // Everything that was under way behind a lost message is refused: one of these is enough to go back.
      if (answer.id <= one.backId || refusal.matched >= one.sent) return nothing(track)
      // Less than what it acknowledged, by now: it has to say again what it has.
      if (refusal.matched < one.flushed && answer.id > one.learnedId) return asked(track, one)
      return { state: withProgress(track, backTo(one, refusal.matched)), effects: [] }
    case 'unknownSegment':
    case 'damaged':
      return answer.id > one.learnedId ? asked(track, one) : nothing(track)
    case 'conflict': {
      const what = `${id} holds something else at entry ${refusal.lsn} of segment ${track.segmentEpoch}: it is sent nothing more`
      return { state: track, effects: [{ do: 'alarm', what }] }
    }
    case 'malformed':
      return { state: track, effects: [{ do: 'alarm', what: `${id} takes a request for malformed: ${refusal.what}` }] }
    case 'sealed':
    case 'trimmed':
    case 'full':
    case 'fenced':
      return nothing(track)
    default:
      return nothing(track)
  }
}

/** Of a chain it is served directly for a while: what it lacks is not what the others lack. */
const backTo = (one: Progress, matched: Lsn): Progress => ({
  ...one,
  sent: lsn(Math.max(one.flushed, matched)),
  isCut: false,
  isDirect: true,
  backId: one.lastId,
})

const asked = (track: Track, one: Progress): TrackStep => ({
  state: withProgress(track, { ...one, isOpened: false, learnedId: one.lastId, askedMs: Number.NEGATIVE_INFINITY }),
  effects: [],
})
