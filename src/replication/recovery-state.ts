import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import type { BatchHead, Digest } from './batch.ts'
import type { LeaderState } from './leader-state.ts'
import type { Member, SegmentState, ServerAnswer, ServerId } from './messages.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import type { Members } from './rules.ts'
import type { ReplicationEffect, Track } from './segment-track.ts'
import type { Step } from './step.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'

/** A candidate, from its wish to lead until it does or has lost. */
export interface RecoveryState {
  readonly me: Peer
  readonly attempt: number
  readonly meta: StreamMeta
  readonly revision: number
  readonly plan: RecoveryPlan
  /**
   * electing: O2, the swap for the next epoch. sealing: O3, O4, until Qs servers have told. repairing: O5. opening: O6, the
   * swap that seals the old segment and opens the next one. over: leads, or lost.
   */
  readonly phase: 'electing' | 'sealing' | 'repairing' | 'opening' | 'over'
  readonly swap: PendingSwap | null
  readonly nonces: number
  readonly answers: ReadonlyMap<ServerId, SegmentState | null>
  /** Where the segment is to end; the digest is known as soon as somebody told it, or the bytes were read. */
  readonly goal: { readonly lsn: Lsn; readonly digest: Digest | null } | null
  /** The members that are being repaired, and how far they are. */
  readonly track: Track | null
  /** The shell has the bytes from here to the goal. */
  readonly fetchedAfter: Lsn | null
  readonly startedMs: number
  /** When servers were last asked, when the repair was last widened, when bytes were last asked for. */
  readonly askedMs: number
  readonly widenedMs: number
  readonly fetchMs: number
  readonly nextId: number
  readonly nowMs: number
}

export interface RecoveryPlan {
  /** Of the open segment's group, as they are registered. Of one that is not, nothing is known, and nobody waits for it. */
  readonly members: Members
  /** For the next segment. */
  readonly group: readonly Member[]
  readonly policy: ReplicationPolicy
  /** Servers that may take the place of lost ones in the old segment. */
  readonly spares: readonly Member[]
}

export interface PendingSwap {
  readonly nonce: string
  readonly meta: StreamMeta
  readonly expectedRevision: number
  readonly isLost: boolean
}

export type RecoveryEvent =
  | { readonly kind: 'tick'; readonly nowMs: number }
  | { readonly kind: 'answer'; readonly answer: ServerAnswer<BatchHead> }
  | { readonly kind: 'cut'; readonly segmentEpoch: Epoch; readonly servers: readonly ServerId[]; readonly upTo: Lsn }
  | { readonly kind: 'swapped'; readonly nonce: string; readonly revision: number }
  | {
      readonly kind: 'conflict'
      readonly nonce: string
      readonly current: { readonly meta: StreamMeta; readonly revision: number } | null
    }
  | { readonly kind: 'swapLost'; readonly nonce: string }
  /** The shell holds the bytes from `after` to the goal, and they end with this digest. */
  | { readonly kind: 'fetched'; readonly after: Lsn; readonly upTo: Lsn; readonly digest: Digest }
  | { readonly kind: 'metaSeen'; readonly meta: StreamMeta }

export type RecoveryEffect =
  | ReplicationEffect
  | {
      readonly do: 'swap'
      readonly meta: StreamMeta
      readonly expectedRevision: number
      readonly nonce: string
    }
  /** Get the bytes behind `after` up to `upTo`, from whoever has them; asked again with other sources until it is said that they are there. */
  | {
      readonly do: 'fetch'
      readonly epoch: Epoch
      readonly segmentEpoch: Epoch
      readonly after: Lsn
      readonly upTo: Lsn
      readonly sources: readonly { readonly member: Member; readonly state: SegmentState }[]
    }
  /** Leads from here on. Nothing is acknowledged before its first entry is committed (O7). */
  | { readonly do: 'lead'; readonly leader: LeaderState }
  /** Somebody else has a higher epoch; `leader` is the one who has, where that is known. */
  | { readonly do: 'lost'; readonly promised: Epoch; readonly leader: Peer | null }

export type RecoveryStep = Step<RecoveryState, RecoveryEffect>
