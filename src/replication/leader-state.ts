import { type Epoch, epoch, type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { BatchHead, Digest } from './batch.ts'
import type { Member, ServerAnswer, ServerId } from './messages.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import { rules } from './rules.ts'
import { committedOf, planTrack, type ReplicationEffect, type Track } from './segment-track.ts'
import type { Step } from './step.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'

/** The leader of one epoch, from the moment that its segment is open. A new epoch by itself (a roll) is the same leader. */
export interface LeaderState {
  readonly stream: string
  readonly me: Peer
  readonly attempt: number
  readonly meta: StreamMeta
  readonly revision: number
  /** The end of what was numbered, and of what is committed. */
  readonly last: BatchEnd
  readonly committed: BatchEnd
  /** Everything up to here is to be on its way. What is behind it nobody waits for yet. */
  readonly wanted: Lsn
  /** The ends of the batches in between. */
  readonly uncommitted: readonly BatchEnd[]
  readonly open: Track
  /**
   * Members of the group share a device, where one flush holds up another: those that no quorum needs get entries a little later,
   * and more at once. After the "thrifty" optimisation of EPaxos (Moraru, Andersen, Kaminsky, SOSP 2013).
   */
  readonly isDeviceShared: boolean
  /** C2: since the record names the group of the open segment, it was seen that none of it was deregistered meanwhile. */
  readonly isGroupConfirmed: boolean
  readonly groupAskedMs: number
  /** Newest last. */
  readonly sealed: readonly Track[]
  /** A swap that is not settled yet. */
  readonly swap: Swap | null
  readonly wishes: readonly Wish[]
  readonly confirmation: Confirmation | null
  /** Reads that came after it began. */
  readonly readers: readonly number[]
  readonly isDeposed: boolean
  readonly nextId: number
  readonly nonces: number
  readonly nowMs: number
}

export interface BatchEnd {
  readonly lsn: Lsn
  readonly digest: Digest
}

/** What the leader wants of the record. One at a time, in order. */
export type Wish =
  /** The next segment, on this group: because the open one grew too large, or the group changes. */
  | { readonly kind: 'roll'; readonly group: readonly Member[]; readonly policy: ReplicationPolicy }
  /** Another group for a sealed segment, once it has all of it. */
  | { readonly kind: 'regroup'; readonly segmentEpoch: Epoch; readonly group: readonly Member[] }
  | { readonly kind: 'archived'; readonly segmentEpoch: Epoch; readonly archive: string }
  | { readonly kind: 'trim'; readonly trimLsn: Lsn; readonly isArchiving: boolean }
  | { readonly kind: 'resign' }

export interface Swap {
  readonly wish: Wish
  readonly nonce: string
  readonly meta: StreamMeta
  readonly expectedRevision: number
  /** Its answer was lost: it is sent again. */
  readonly isLost: boolean
}

/** One round in which the group says that nobody else was promised anything. */
export interface Confirmation {
  readonly id: number
  /** What was committed when it began. */
  readonly lsn: Lsn
  readonly readers: readonly number[]
  readonly answered: ReadonlySet<ServerId>
  readonly askedMs: number
}

export type LeaderEvent =
  /** Of monotonic time; everything that is late is sent again here, about each 50 ms. */
  | { readonly kind: 'tick'; readonly nowMs: number }
  /** The shell has it, and its place is the next one: `last` of the state. */
  | { readonly kind: 'append'; readonly head: BatchHead }
  /** Somebody waits for what was appended by now: it is sent. The rest is by the next tick. */
  | { readonly kind: 'flush' }
  /** `surplusWaitMs` after something was wanted, where a device is shared: everybody gets it. */
  | { readonly kind: 'surplusDue' }
  | { readonly kind: 'answer'; readonly answer: ServerAnswer<BatchHead> }
  /** A `stream` ended at a batch before the end of what it asked for. */
  | {
      readonly kind: 'cut'
      readonly segmentEpoch: Epoch
      readonly servers: readonly ServerId[]
      readonly upTo: Lsn
    }
  /** There is a new connection to the server: it may be another process, which has less than the former one. */
  | { readonly kind: 'connected'; readonly server: ServerId }
  /** C2: who belongs to the cluster was looked at after the record named the group of this segment. */
  | { readonly kind: 'groupConfirmed'; readonly segmentEpoch: Epoch; readonly isDeviceShared: boolean }
  | { readonly kind: 'swapped'; readonly nonce: string; readonly revision: number }
  | {
      readonly kind: 'conflict'
      readonly nonce: string
      readonly current: { readonly meta: StreamMeta; readonly revision: number } | null
    }
  | { readonly kind: 'swapLost'; readonly nonce: string }
  /** A watch saw it. May be old. */
  | { readonly kind: 'metaSeen'; readonly meta: StreamMeta }
  /** A linearizable read, by a number of the shell's. */
  | { readonly kind: 'confirm'; readonly reader: number }
  | { readonly kind: 'wish'; readonly wish: Wish }

export type LeaderEffect =
  | ReplicationEffect
  | {
      readonly do: 'swap'
      readonly meta: StreamMeta
      readonly expectedRevision: number
      readonly nonce: string
    }
  /** C2: `groupConfirmed`, or a wish for another group; asked again until one of them comes. */
  | { readonly do: 'confirmGroup'; readonly segmentEpoch: Epoch; readonly group: readonly Member[] }
  /** Everything up to here may be acknowledged to clients (I7). */
  | { readonly do: 'committed'; readonly lsn: Lsn }
  /** Whoever has applied up to here sees everything that was acknowledged before the read began (I12). */
  | { readonly do: 'confirmed'; readonly reader: number; readonly lsn: Lsn }
  /** Too many reads wait: `overloaded`. */
  | { readonly do: 'refusedReader'; readonly reader: number }
  /** The record changed. */
  | { readonly do: 'recorded'; readonly wish: Wish; readonly meta: StreamMeta }
  /** Nothing of it happened, and why. */
  | { readonly do: 'refusedWish'; readonly wish: Wish; readonly what: string }
  /**
   * Over: entries above `committed` are indeterminate, they may be in the log or not. Readers that wait get `not_leader`.
   */
  | { readonly do: 'deposed'; readonly promised: Epoch; readonly leader: Peer | null; readonly committed: Lsn }

export type LeaderStep = Step<LeaderState, LeaderEffect>

export const epochOf = ({ meta }: LeaderState): Epoch => meta.epoch

export const isRolling = ({ swap }: LeaderState): boolean => swap?.wish.kind === 'roll'

/** No room for another batch: the shell waits for `committed`. */
export const isFull = ({ uncommitted }: LeaderState, batchesMax: number): boolean => uncommitted.length >= batchesMax

export function deposed(state: LeaderState, promised: Epoch, leader: Peer | null): LeaderStep {
  if (state.isDeposed) return { state, effects: [] }
  const committed = state.committed.lsn
  return { state: { ...state, isDeposed: true }, effects: [{ do: 'deposed', promised, leader, committed }] }
}

/** I7: by what the members of the open segment have flushed. Of the sealed ones everything that counts is committed. */
export function commit(state: LeaderState): LeaderStep {
  if (!rules.mayCommit(isRolling(state)) || !rules.mayCount(state.isGroupConfirmed)) return { state, effects: [] }
  const most = committedOf(state.open)
  const done = state.uncommitted.filter((end) => end.lsn <= most)
  const committed = done.at(-1)
  if (committed === undefined) return { state, effects: [] }
  const uncommitted = state.uncommitted.slice(done.length)
  return { state: { ...state, committed, uncommitted }, effects: [{ do: 'committed', lsn: committed.lsn }] }
}

/** C2. */
export function askForGroup(state: LeaderState): LeaderStep {
  const { isGroupConfirmed, groupAskedMs, nowMs, open } = state
  if (isGroupConfirmed || isRolling(state) || nowMs - groupAskedMs < limits.replicationRetryMs)
    return { state, effects: [] }
  const group = [...open.members.values()].map(({ member }) => member)
  return {
    state: { ...state, groupAskedMs: nowMs },
    effects: [{ do: 'confirmGroup', segmentEpoch: open.segmentEpoch, group }],
  }
}

/**
 * Sends to every member of every segment what it lacks of what is wanted. While a roll is not settled the open segment gets nothing more.
 *
 * @param isDue whoever no quorum needs gets it, too
 */
export function replicate(state: LeaderState, isDue: boolean): LeaderStep {
  const effects: LeaderEffect[] = []
  let { nextId } = state
  const plan = (track: Track, last: Lsn): Track => {
    const sender = {
      stream: state.stream,
      epoch: epoch(epochOf(state)),
      nowMs: state.nowMs,
      nextId,
      isDue: isDue || !state.isDeviceShared,
    }
    const planned = planTrack(track, sender, last, state.committed.lsn)
    nextId = planned.nextId
    effects.push(...planned.effects)
    return planned.track
  }
  const sealed = state.sealed.map((track) => plan(track, lsn(0)))
  const open = isRolling(state) ? state.open : plan(state.open, state.wanted)
  return { state: { ...state, open, sealed, nextId }, effects }
}
