import { assert, unreachable } from '../kernel/assert.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { type BatchHead, lastLsnOf } from './batch.ts'
import { confirmedBy, resumeConfirmation } from './leader-confirmation.ts'
import {
  askForGroup,
  commit,
  deposed,
  epochOf,
  isRolling,
  type LeaderEffect,
  type LeaderEvent,
  type LeaderState,
  type LeaderStep,
  replicate,
} from './leader-state.ts'
import { nextSwap, onSwapAnswer, retrySwap, unfinished } from './leader-swaps.ts'
import type { RefusedAnswer, ServerAnswer } from './messages.ts'
import { rules } from './rules.ts'
import { cutShort, type Progress, type Track, withProgress } from './segment-track.ts'
import { inTurn } from './step.ts'
import { onTrackAnswer } from './track-answers.ts'

/**
 * The leader of a stream. It numbers, sends to each server what it lacks, and says what is committed.
 *
 * | event | what follows |
 * |---|---|
 * | append | numbered; nothing is sent before somebody waits for it, so that what belongs together travels together |
 * | flush, tick | to every member that can take it (where devices are shared: whoever no quorum needs, by `surplusDue` and tick); committed once `ackQuorum` of the open segment's group flushed it (I7) |
 * | answer | counts for the segment that it is of, from registered servers (I17); a refusal for a higher epoch deposes |
 * | wish | one compare-and-swap at a time; a lost answer settles nothing: the same swap is sent again |
 * | election, roll settled | nothing of the new group counts before it is confirmed that none of it was deregistered (C2) |
 * | roll settled | the old segment ends at what is committed, the rest goes to the new group under the same LSNs |
 * | confirm | committed at the start, answered after `ackQuorum` of the current group have promised nobody else (I12) |
 */
export function stepLeader(state: LeaderState, event: LeaderEvent): LeaderStep {
  if (state.isDeposed) return { state, effects: [] }
  if (event.kind === 'append') return idle(numbered(state, event.head))
  return inTurn(
    state,
    (before) => react(before, event),
    (after) =>
      after.isDeposed
        ? idle(after)
        : inTurn(after, commit, nextSwap, askForGroup, resumeConfirmation, (ready) => replicate(ready, isDue(event))),
  )
}

/** Time has passed in which those who wait for no quorum got nothing. */
const isDue = ({ kind }: LeaderEvent): boolean => kind === 'tick' || kind === 'surplusDue'

const idle = (state: LeaderState): LeaderStep => ({ state, effects: [] })

function react(state: LeaderState, event: Exclude<LeaderEvent, { readonly kind: 'append' }>): LeaderStep {
  switch (event.kind) {
    case 'tick':
      return inTurn({ ...wanting(state), nowMs: event.nowMs, sealed: unfinished(state) }, retrySwap, hint)
    case 'flush':
      return idle(wanting(state))
    case 'surplusDue':
      return idle(state)
    case 'answer':
      return onAnswer(state, event.answer)
    case 'cut':
      return idle(
        mapTracks(state, (track) =>
          track.segmentEpoch === event.segmentEpoch ? cutShort(track, event.servers, event.upTo) : track,
        ),
      )
    case 'connected':
      return idle(mapTracks(state, (track) => again(track, event.server)))
    case 'groupConfirmed':
      return idle(
        event.segmentEpoch === state.open.segmentEpoch
          ? { ...state, isGroupConfirmed: true, isDeviceShared: event.isDeviceShared }
          : state,
      )
    case 'swapped':
    case 'conflict':
    case 'swapLost':
      return onSwapAnswer(state, event)
    case 'metaSeen':
      return event.meta.epoch > epochOf(state) && !isOwn(state, event.meta)
        ? deposed(state, event.meta.epoch, event.meta.leader)
        : idle(state)
    case 'confirm':
      return state.readers.length < limits.confirmationsMax
        ? idle({ ...state, readers: [...state.readers, event.reader] })
        : { state, effects: [{ do: 'refusedReader', reader: event.reader }] }
    case 'wish':
      return idle({ ...state, wishes: [...state.wishes, event.wish] })
    default:
      return unreachable(event)
  }
}

/** The record may be seen before the answer to the swap that made it. */
const isOwn = ({ me }: LeaderState, { leader }: LeaderState['meta']): boolean => leader?.incarnation === me.incarnation

function numbered(state: LeaderState, head: BatchHead): LeaderState {
  const { last } = state
  assert(head.firstLsn === last.lsn + 1 && head.prevDigest.equals(last.digest), 'a batch follows on the last one')
  assert(state.uncommitted.length < limits.uncommittedBatchesMax, 'more is under way than the leader takes')
  const end = { lsn: lastLsnOf(head), digest: head.digest }
  return { ...state, last: end, uncommitted: [...state.uncommitted, end] }
}

const wanting = (state: LeaderState): LeaderState => ({ ...state, wanted: state.last.lsn })

function onAnswer(state: LeaderState, answer: ServerAnswer<BatchHead>): LeaderStep {
  if (answer.kind === 'refused' && answer.refusal.reason === 'fenced') return onFenced(state, answer)
  if (answer.kind === 'confirmed') return confirmedBy(state, answer)
  const effects: LeaderEffect[] = []
  const after = mapTracks(state, (track) => {
    const step = onTrackAnswer(track, answer, state.nowMs)
    effects.push(...step.effects)
    return step.state
  })
  return { state: leaveDamage(after), effects }
}

/** A segment in which a server lost something is sealed soon, so that another loss does not meet the first one. */
function leaveDamage(state: LeaderState): LeaderState {
  const { open, wishes, swap } = state
  const members = [...open.members.values()]
  const isWished = isRolling(state) || wishes.some(({ kind }) => kind === 'roll') || swap?.wish.kind === 'resign'
  if (isWished || !members.some(({ isSuspect }) => isSuspect)) return state
  const roll = { kind: 'roll', group: members.map(({ member }) => member), policy: open.policy } as const
  return { ...state, wishes: [...wishes, roll] }
}

/** Refused under an epoch that I had before a roll it says nothing: what was promised since is mine. */
function onFenced(state: LeaderState, answer: RefusedAnswer): LeaderStep {
  const { refusal, server } = answer
  if (refusal.reason !== 'fenced' || refusal.promised <= epochOf(state)) return idle(state)
  const isKnown = [state.open, ...state.sealed].some((track) =>
    rules.isRegistered(track.members.get(server)?.member, answer),
  )
  return isKnown ? deposed(state, refusal.promised, null) : idle(state)
}

function mapTracks(state: LeaderState, change: (track: Track) => Track): LeaderState {
  return { ...state, open: change(state.open), sealed: state.sealed.map(change) }
}

function again(track: Track, server: string): Track {
  const one = track.members.get(server)
  return one === undefined
    ? track
    : withProgress(track, {
        ...one,
        isOpened: false,
        sent: one.flushed,
        learnedId: one.lastId,
        askedMs: Number.NEGATIVE_INFINITY,
      })
}

/** The committed LSN rides on appends; to whoever has got none of late it is sent by itself. */
function hint(state: LeaderState): LeaderStep {
  const effects: LeaderEffect[] = []
  let { nextId, open } = state
  for (const one of open.members.values()) {
    if (!needsHint(one, state.committed.lsn, state.nowMs)) continue
    const { stream, meta } = state
    const content = { kind: 'commit', segmentEpoch: open.segmentEpoch, committed: state.committed.lsn } as const
    const id = nextId++
    effects.push({ do: 'send', to: one.member, request: { ...content, id, stream, epoch: meta.epoch } })
    open = withProgress(open, { ...one, lastId: id, askedMs: state.nowMs })
  }
  return { state: { ...state, open, nextId }, effects }
}

const needsHint = ({ isOpened, told, sent, flushed, askedMs }: Progress, committed: Lsn, nowMs: number): boolean =>
  isOpened && told < committed && sent === flushed && nowMs - askedMs >= limits.replicationRetryMs
