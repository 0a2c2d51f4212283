import { unreachable } from '../kernel/assert.ts'
import { type Epoch, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { BatchHead } from './batch.ts'
import type { SealedAnswer, ServerAnswer } from './messages.ts'
import { newLeader } from './new-leader.ts'
import type {
  PendingSwap,
  RecoveryEffect,
  RecoveryEvent,
  RecoveryPlan,
  RecoveryState,
  RecoveryStep,
} from './recovery-state.ts'
import { beginRepair, repair, repairedGroup } from './repair.ts'
import { rules } from './rules.ts'
import { sealGoal } from './seal-goal.ts'
import { cutShort } from './segment-track.ts'
import { inTurn } from './step.ts'
import { elected, opened, openSegmentOf, type Peer, type StreamMeta, sealedEndOf } from './stream-meta.ts'
import { onTrackAnswer } from './track-answers.ts'

/**
 * O2: begins with the swap for the next epoch. `meta` may be old: then the swap says so, and somebody begins again.
 * @param attempt no two of an incarnation have the same: a swap of a former one may still be under way
 */
export function beginRecovery(
  me: Peer,
  attempt: number,
  record: { readonly meta: StreamMeta; readonly revision: number },
  plan: RecoveryPlan,
  nowMs: number,
): RecoveryStep {
  const never = Number.NEGATIVE_INFINITY
  const state: RecoveryState = {
    me,
    attempt,
    ...record,
    plan,
    phase: 'electing',
    swap: null,
    nonces: 0,
    answers: new Map(),
    goal: null,
    track: null,
    fetchedAfter: null,
    startedMs: nowMs,
    askedMs: never,
    widenedMs: nowMs,
    fetchMs: never,
    nextId: 1,
    nowMs,
  }
  return swapTo(state, (nonce) => elected(record.meta, me, nonce))
}

/**
 * Elect and open: O2 to O6 of the protocol, for one candidate.
 *
 * | phase | ends with |
 * |---|---|
 * | electing | the record has my epoch; or somebody else's: lost |
 * | sealing | Qs registered servers whose end is known have promised my epoch (I4, I14, I17) |
 * | repairing | `ackQuorum` servers have all up to the highest entry that was told (I10); servers are added where that cannot be had |
 * | opening | one swap seals the old segment there and opens the next one; it demands that the epoch still is mine (I8, I9) |
 */
export function stepRecovery(state: RecoveryState, event: RecoveryEvent): RecoveryStep {
  if (state.phase === 'over') return { state, effects: [] }
  return inTurn(state, (before) => react(before, event), seal, repairs)
}

function react(state: RecoveryState, event: RecoveryEvent): RecoveryStep {
  switch (event.kind) {
    case 'tick':
      return retrySwap({ ...state, nowMs: event.nowMs })
    case 'answer':
      return onAnswer(state, event.answer)
    case 'cut':
      return idle(state.track === null ? state : { ...state, track: cutShort(state.track, event.servers, event.upTo) })
    case 'swapped':
      return isOfSwap(state, event) ? settled(state, event.revision) : idle(state)
    case 'conflict':
      return isOfSwap(state, event) ? onConflict(state, event) : idle(state)
    case 'swapLost':
      // It may have been made, or may yet be: only another try with the same nonce tells.
      return isOfSwap(state, event)
        ? idle({ ...state, swap: { ...(state.swap as PendingSwap), isLost: true } })
        : idle(state)
    case 'fetched':
      return event.upTo === state.goal?.lsn
        ? idle({ ...state, fetchedAfter: event.after, goal: { ...state.goal, digest: event.digest } })
        : idle(state)
    case 'metaSeen':
      return state.phase !== 'electing' && event.meta.epoch > state.meta.epoch
        ? lost(state, event.meta.epoch, event.meta.leader)
        : idle(state)
    default:
      return unreachable(event)
  }
}

const idle = (state: RecoveryState): RecoveryStep => ({ state, effects: [] })

const lost = (state: RecoveryState, promised: Epoch, leader: Peer | null): RecoveryStep => ({
  state: { ...state, phase: 'over', swap: null },
  effects: [{ do: 'lost', promised, leader }],
})

function swapTo(state: RecoveryState, change: (nonce: string) => StreamMeta): RecoveryStep {
  const nonce = `${state.me.incarnation}/${state.attempt}/${state.nonces + 1}`
  const swap = { nonce, meta: change(nonce), expectedRevision: state.revision, isLost: false }
  return { state: { ...state, nonces: state.nonces + 1, swap }, effects: [swapEffect(swap)] }
}

const swapEffect = ({ nonce, meta, expectedRevision }: PendingSwap): RecoveryEffect => ({
  do: 'swap',
  nonce,
  meta,
  expectedRevision,
})

const isOfSwap = ({ swap }: RecoveryState, { nonce }: { readonly nonce: string }): boolean => swap?.nonce === nonce

function retrySwap(state: RecoveryState): RecoveryStep {
  const { swap } = state
  if (swap === null || !swap.isLost) return idle(state)
  return { state: { ...state, swap: { ...swap, isLost: false } }, effects: [swapEffect(swap)] }
}

function onConflict(state: RecoveryState, { current }: RecoveryEvent & { readonly kind: 'conflict' }): RecoveryStep {
  if (current === null) return lost(state, state.meta.epoch, null)
  const { meta, revision } = current
  if (rules.isMine((state.swap as PendingSwap).nonce, meta.nonce)) return settled(state, revision)
  const isStillMine =
    state.phase === 'opening' && meta.epoch === state.meta.epoch && meta.leader?.incarnation === state.me.incarnation
  if (!isStillMine) return lost(state, meta.epoch, meta.leader)
  return open({ ...state, meta, revision })
}

function settled(state: RecoveryState, revision: number): RecoveryStep {
  const { meta } = state.swap as PendingSwap
  const recorded: RecoveryState = { ...state, meta, revision, swap: null }
  if (state.phase === 'opening')
    return {
      state: { ...recorded, phase: 'over' },
      effects: [{ do: 'lead', leader: newLeader(recorded, openSegmentOf(state.meta)) }],
    }
  return openSegmentOf(meta) === null ? open(recorded) : idle({ ...recorded, phase: 'sealing' })
}

/** What comes before the epoch is mine answers somebody else, or an earlier try of this node under the epoch before. */
function onAnswer(state: RecoveryState, answer: ServerAnswer<BatchHead>): RecoveryStep {
  if (state.phase === 'electing') return idle(state)
  if (answer.kind === 'sealed') return idle(onSealed(state, answer))
  if (answer.kind === 'refused' && answer.refusal.reason === 'fenced') {
    const { promised } = answer.refusal
    const isKnown = rules.isRegistered(state.plan.members.get(answer.server), answer)
    return isKnown && promised > state.meta.epoch ? lost(state, promised, null) : idle(state)
  }
  if (state.track === null) return idle(state)
  const step = onTrackAnswer(state.track, answer, state.nowMs)
  return { state: { ...state, track: step.state }, effects: step.effects }
}

/** O3: what a server promised, and told with it. One that comes while the repair runs is welcome: it may be repaired too. */
function onSealed(state: RecoveryState, answer: SealedAnswer): RecoveryState {
  const { server, promised, segment } = answer
  if (promised !== state.meta.epoch || !rules.isRegistered(state.plan.members.get(server), answer)) return state
  const isOther = segment !== null && segment.segmentEpoch !== openSegmentOf(state.meta)?.epoch
  if (state.answers.has(server) || isOther) return state
  return { ...state, answers: new Map(state.answers).set(server, segment) }
}

/** O3, O4: asks until enough have told. */
function seal(state: RecoveryState): RecoveryStep {
  const segment = openSegmentOf(state.meta)
  if (state.phase !== 'sealing' || segment === null) return idle(state)
  const goal = sealGoal(segment, state.answers)
  if (goal !== null) return idle(beginRepair(state, segment, goal))
  if (state.nowMs - state.askedMs < limits.replicationRetryMs) return idle(state)
  const left = [...state.plan.members.values()].filter(({ id }) => !state.answers.has(id))
  const { stream, epoch } = state.meta
  const effects = left.map((to, index): RecoveryEffect => {
    const id = state.nextId + index
    return { do: 'send', to, request: { kind: 'seal', id, stream, epoch, segmentEpoch: segment.epoch } }
  })
  return { state: { ...state, askedMs: state.nowMs, nextId: state.nextId + left.length }, effects }
}

function repairs(state: RecoveryState): RecoveryStep {
  if (state.phase !== 'repairing') return idle(state)
  const step = repair(state)
  return repairedGroup(step.state) === null
    ? step
    : inTurn(
        step.state,
        () => step,
        (after) => open({ ...after, phase: 'opening' }),
      )
}

/** O6: the one swap that decides. Until it is made nobody has appended anything under my epoch. */
function open(state: RecoveryState): RecoveryStep {
  const { goal, plan } = state
  const { policy } = plan
  const end =
    goal === null || goal.digest === null
      ? sealedEndOf(state.meta)
      : { tail: lsn(goal.lsn), tailDigest: goal.digest.toString('hex') }
  const group = plan.group.map(({ id }) => id)
  return swapTo({ ...state, phase: 'opening' }, (nonce) =>
    opened(state.meta, nonce, end, { group, policy }, repairedGroup(state) ?? undefined),
  )
}
