import { type Epoch, noEpoch } from '../kernel/identifiers.ts'
import { openSegmentOf, type Peer, type StreamMeta } from './stream-meta.ts'

/** What this node is to a stream. */
export interface RoleState {
  readonly epoch: Epoch
  /** `recovering`: it has taken the epoch, and repairs the end of the log before it leads. */
  readonly role: 'leader' | 'follower' | 'recovering'
  /** Absent while none is known. */
  readonly leader?: Peer
}

export const noRole: RoleState = { epoch: noEpoch, role: 'follower' }

/**
 * What the record says.
 *
 * | leader of the record | its last segment | role |
 * |---|---|---|
 * | this incarnation | open, of the record's epoch | leader |
 * | this incarnation | anything else | recovering |
 * | another, or none | | follower |
 *
 * @param fenced - the highest epoch that this node was refused for: where the record is behind it, somebody else has it
 */
export function roleOf(meta: StreamMeta | null, me: Peer, fenced: Epoch): RoleState {
  const epoch = meta?.epoch ?? noEpoch
  if (epoch < fenced) return { epoch: fenced, role: 'follower' }
  const leader = meta?.leader ?? null
  if (meta === null || leader === null) return { epoch, role: 'follower' }
  if (leader.incarnation !== me.incarnation) return { epoch, role: 'follower', leader }
  return { epoch, role: openSegmentOf(meta)?.epoch === epoch ? 'leader' : 'recovering', leader }
}

export const isSameRole = (a: RoleState, b: RoleState): boolean =>
  a.epoch === b.epoch && a.role === b.role && a.leader?.incarnation === b.leader?.incarnation
