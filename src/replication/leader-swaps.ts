import { assert, unreachable } from '../kernel/assert.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import {
  deposed,
  epochOf,
  type LeaderEffect,
  type LeaderEvent,
  type LeaderState,
  type LeaderStep,
  type Wish,
} from './leader-state.ts'
import type { Member } from './messages.ts'
import { rules } from './rules.ts'
import { isDone, membersOf, newProgress, type Progress, type Track } from './segment-track.ts'
import { archived, openSegmentOf, regrouped, resigned, rolled, type StreamMeta, trimmed } from './stream-meta.ts'

/** Every change of the record by the leader: one compare-and-swap at a time, each with a nonce of its own. */
export function nextSwap(state: LeaderState): LeaderStep {
  if (state.swap !== null || state.isDeposed || state.wishes.length === 0) return { state, effects: [] }
  const prepared = state.wishes.reduce(prepareRegroup, state)
  const index = prepared.wishes.findIndex((wish) => isReady(prepared, wish))
  const wish = prepared.wishes[index]
  if (wish === undefined) return { state: prepared, effects: [] }
  return begin({ ...prepared, wishes: prepared.wishes.filter((_, other) => other !== index) }, wish)
}

/** A sealed segment changes its group when the new one has all of it. */
function isReady({ sealed, meta }: LeaderState, wish: Wish): boolean {
  // One that is gone is refused.
  if (wish.kind !== 'regroup' || !hasSealed(meta, wish)) return true
  const track = sealed.find(({ segmentEpoch }) => segmentEpoch === wish.segmentEpoch)
  const holders = wish.group.filter(({ id }) => isWhole(track, track?.members.get(id)))
  return holders.length === wish.group.length
}

const isWhole = (track: Track | undefined, one: Progress | undefined): boolean =>
  one?.isFinished === true && one.damagedFrom === null && one.flushed >= (track?.end?.tail ?? 0)

function begin(state: LeaderState, wish: Wish): LeaderStep {
  const nonce = `${state.me.incarnation}/${state.attempt}/${state.nonces + 1}`
  const meta = wanted(state, wish, nonce)
  if (typeof meta === 'string') {
    const { state: after, effects } = nextSwap(state)
    return { state: after, effects: [{ do: 'refusedWish', wish, what: meta }, ...effects] }
  }
  const swap = { wish, nonce, meta, expectedRevision: state.revision, isLost: false }
  // Reads that are being confirmed by a group that may be about to change have to be confirmed again.
  const { confirmation } = state
  const isInterrupted = confirmation !== null && !rules.mayConfirm(wish.kind === 'roll')
  const readers = isInterrupted ? [...confirmation.readers, ...state.readers] : state.readers
  return {
    state: { ...state, nonces: state.nonces + 1, swap, readers, confirmation: isInterrupted ? null : confirmation },
    effects: [swapEffect(swap)],
  }
}

const swapEffect = ({ meta, expectedRevision, nonce }: NonNullable<LeaderState['swap']>): LeaderEffect => ({
  do: 'swap',
  meta,
  expectedRevision,
  nonce,
})

/** The record as it is to be, or why it stays. */
function wanted({ meta, committed }: LeaderState, wish: Wish, nonce: string): StreamMeta | string {
  switch (wish.kind) {
    case 'roll': {
      const end = { tail: committed.lsn, tailDigest: committed.digest.toString('hex') }
      return rolled(meta, nonce, end, { group: idsOf(wish.group), policy: wish.policy })
    }
    case 'trim':
      return trimmed(meta, nonce, wish.trimLsn, wish.isArchiving) ?? 'nothing more may be trimmed'
    case 'archived':
      return hasSealed(meta, wish) ? archived(meta, nonce, wish.segmentEpoch, wish.archive) : 'there is no such segment'
    case 'regroup':
      return hasSealed(meta, wish)
        ? regrouped(meta, nonce, wish.segmentEpoch, idsOf(wish.group))
        : 'there is no such segment'
    case 'resign':
      return resigned(meta, nonce)
    default:
      return unreachable(wish)
  }
}

const hasSealed = ({ segments }: StreamMeta, { segmentEpoch }: Wish & { readonly segmentEpoch: number }): boolean =>
  segments.some((segment) => segment.epoch === segmentEpoch && segment.state === 'sealed')

const idsOf = (group: readonly Member[]): readonly string[] => group.map(({ id }) => id)

type SwapEvent = LeaderEvent & { readonly kind: 'swapped' | 'conflict' | 'swapLost' }

export function onSwapAnswer(state: LeaderState, event: SwapEvent): LeaderStep {
  const { swap } = state
  // Of one that is settled already: it was sent twice.
  if (swap === null || swap.nonce !== event.nonce) return { state, effects: [] }
  switch (event.kind) {
    case 'swapped':
      return settled(state, swap.meta, event.revision)
    case 'conflict':
      return onConflict(state, event)
    case 'swapLost':
      if (rules.isSettled('lost')) return { state: { ...state, swap: null }, effects: [] }
      return { state: { ...state, swap: { ...swap, isLost: true } }, effects: [] }
    default:
      return unreachable(event)
  }
}

function onConflict(state: LeaderState, { current }: SwapEvent & { readonly kind: 'conflict' }): LeaderStep {
  const swap = state.swap as NonNullable<LeaderState['swap']>
  if (current === null) return deposed(state, epochOf(state), null)
  const { meta, revision } = current
  if (rules.isMine(swap.nonce, meta.nonce)) return settled(state, swap.meta, revision)
  const isLeader = meta.epoch === epochOf(state) && meta.leader?.incarnation === state.me.incarnation
  if (!isLeader) return deposed(state, meta.epoch, meta.leader)
  // Somebody else changed it, and left me the lead: the same again on what is there now.
  return begin({ ...state, swap: null, meta, revision }, swap.wish)
}

/** The same swap again: it is made once, whichever of them arrives. */
export function retrySwap(state: LeaderState): LeaderStep {
  const { swap } = state
  if (swap === null || !swap.isLost) return { state, effects: [] }
  return { state: { ...state, swap: { ...swap, isLost: false } }, effects: [swapEffect(swap)] }
}

function settled(state: LeaderState, meta: StreamMeta, revision: number): LeaderStep {
  const { wish } = state.swap as NonNullable<LeaderState['swap']>
  const recorded: LeaderState = { ...state, meta, revision, swap: null }
  const effect: LeaderEffect = { do: 'recorded', wish, meta }
  switch (wish.kind) {
    case 'roll':
      return { state: afterRoll(recorded, wish), effects: [effect] }
    case 'trim':
      return { state: withoutTrimmed(recorded), effects: [effect, ...trims(recorded, wish.trimLsn)] }
    case 'regroup':
      return { state: { ...recorded, sealed: afterRegroup(recorded, wish) }, effects: [effect] }
    case 'archived':
      return { state: recorded, effects: [effect] }
    case 'resign': {
      const step = deposed(recorded, meta.epoch, null)
      return { state: step.state, effects: [effect, ...step.effects] }
    }
    default:
      return unreachable(wish)
  }
}

/**
 * The old segment ends at `committed`, whatever else of it was flushed meanwhile: those entries get the same LSNs in the new
 * one, and count when `ackQuorum` of the new group have them.
 */
function afterRoll(state: LeaderState, wish: Wish & { readonly kind: 'roll' }): LeaderState {
  const { committed, open: before } = state
  const segment = openSegmentOf(state.meta)
  assert(segment !== null && segment.epoch === state.meta.epoch, 'a roll opens a segment')
  const tail = lsn(segment.base - 1)
  const end = { tail, tailDigest: committed.digest, isSealed: true }
  const sealed: Track = {
    ...before,
    end,
    members: new Map([...before.members].map(([id, one]) => [id, cut(one, tail)])),
  }
  const former = [...before.members.values()].map(({ member }) => member)
  const group = rules.countedAfterRoll(former, wish.group)
  const base = segment.base
  const baseDigest = committed.digest
  const open: Track = {
    segmentEpoch: segment.epoch,
    base,
    baseDigest,
    policy: wish.policy,
    end: null,
    members: membersOf(group, base),
  }
  const isGroupConfirmed = rules.staysConfirmed(state.isGroupConfirmed, former, group)
  const groupAskedMs = Number.NEGATIVE_INFINITY
  return {
    ...state,
    open,
    isGroupConfirmed,
    groupAskedMs,
    sealed: [...state.sealed, sealed].slice(-limits.sealedTracksMax),
  }
}

const cut = (one: Progress, tail: Lsn): Progress => ({
  ...one,
  flushed: lsn(Math.min(one.flushed, tail)),
  sent: lsn(Math.min(one.sent, tail)),
  askedMs: Number.NEGATIVE_INFINITY,
})

/** Nobody needs what was given up. */
const withoutTrimmed = (state: LeaderState): LeaderState => ({
  ...state,
  sealed: state.sealed.filter(({ end }) => end === null || end.tail > state.meta.trimLsn),
})

/** I13: the record says so by now, so the servers may drop it. One that does not hear of it does at the next trim. */
function trims(state: LeaderState, wanted: Lsn): readonly LeaderEffect[] {
  return trimEffects(state, rules.trimUpTo(state.meta.trimLsn, wanted))
}

function trimEffects({ stream, meta, open, sealed }: LeaderState, trimLsn: Lsn): readonly LeaderEffect[] {
  const members = [open, ...sealed].flatMap((track) => [...track.members.values()].map(({ member }) => member))
  const each = new Map(members.map((member) => [member.id, member])).values()
  return [...each].map((to) => ({
    do: 'send',
    to,
    request: { kind: 'trim', id: 0, stream, epoch: meta.epoch, trimLsn },
  }))
}

/** The members that are to be join the track of the segment, and get all of it there. */
function prepareRegroup(state: LeaderState, wish: Wish): LeaderState {
  if (wish.kind !== 'regroup') return state
  const segment = state.meta.segments.find(({ epoch }) => epoch === wish.segmentEpoch)
  if (segment === undefined || segment.state !== 'sealed') return state
  const known = state.sealed.find(({ segmentEpoch }) => segmentEpoch === wish.segmentEpoch)
  if (wish.group.every(({ id }) => known?.members.has(id))) return state
  const { base, policy, tail } = segment
  const baseDigest = Buffer.from(segment.baseDigest, 'hex')
  const end = { tail, tailDigest: Buffer.from(segment.tailDigest, 'hex'), isSealed: true }
  const track = known ?? { segmentEpoch: wish.segmentEpoch, base, baseDigest, policy, end, members: new Map() }
  const members = new Map(track.members)
  for (const member of wish.group) if (!members.has(member.id)) members.set(member.id, newProgress(member, base))
  const others = state.sealed.filter((one) => one !== known)
  return { ...state, sealed: [...others, { ...track, members }] }
}

function afterRegroup(state: LeaderState, wish: Wish & { readonly kind: 'regroup' }): readonly Track[] {
  const ids = new Set(idsOf(wish.group))
  return state.sealed.map((track) =>
    track.segmentEpoch === wish.segmentEpoch
      ? { ...track, members: new Map([...track.members].filter(([id]) => ids.has(id))) }
      : track,
  )
}

/** What nobody lacks anything of is left alone, unless it is about to be somebody else's too. */
export const unfinished = ({ sealed, wishes }: LeaderState): readonly Track[] =>
  sealed.filter((track) => {
    const isWanted = wishes.some((wish) => wish.kind === 'regroup' && wish.segmentEpoch === track.segmentEpoch)
    return isWanted || !isDone(track)
  })
