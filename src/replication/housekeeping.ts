import { lsn } from '../kernel/identifiers.ts'
import type { LeaderShell } from './leader-shell.ts'
import type { Wish } from './leader-state.ts'
import type { NodeRecord } from './node-record.ts'
import type { RecoveryPlan } from './recovery-state.ts'
import type { StreamArchiver } from './stream-archiver.ts'
import type { SegmentMeta, StreamMeta } from './stream-meta.ts'

export interface TrimView {
  /** What this node may need again lies behind it. */
  readonly own: number
  /** All that are there. */
  readonly nodes: readonly NodeRecord[]
  readonly archiver: Pick<StreamArchiver, 'mayTrim'> | null
}

export interface House extends TrimView {
  readonly archiver: Pick<StreamArchiver, 'mayTrim' | 'look'> | null
  /** The open segment is sealed when so much was appended to it. */
  readonly segmentBytes: number
  /** Where the next one is to lie; null where there are too few servers. */
  readonly plan: () => Pick<RecoveryPlan, 'group' | 'policy'> | null
  /** Who is there is known. */
  readonly isCurrent: boolean
}

/** What a leader does beside leading: sealed segments are archived, and trimmed once no node needs them. */
export function keepHouse(leader: LeaderShell, house: House): void {
  if (leader.failed !== null || leader.isChangingRecord) return
  house.archiver?.look(leader)
  if (leader.segmentBytes >= house.segmentBytes) {
    const plan = house.plan()
    if (plan !== null) leader.wish({ kind: 'roll', group: plan.group, policy: plan.policy })
  } else if (house.isCurrent) {
    const wish = trimWish(leader.meta, house)
    if (wish !== null) leader.wish(wish)
  }
}

/**
 * What the leader wants to give up of the stream: what no node that is there needs any more and, where anybody archives, what the
 * archive has. null for nothing, also where a whole segment would not go: servers keep segments, not entries.
 */
export function trimWish(meta: StreamMeta, { own, nodes, archiver }: TrimView): Wish | null {
  if (archiver?.mayTrim === false) return null
  const trimLsn = lsn(Math.min(own, ...nodes.map(({ keepAfter }) => keepAfter)))
  const { segments } = meta
  // I13, also where this node was started without the archive that others have.
  const isArchiving =
    archiver !== null || nodes.some(({ archive }) => archive !== undefined) || segments.some(isArchived)
  const [first] = segments
  const isWorthIt = first?.state === 'sealed' && first.tail <= trimLsn && (!isArchiving || isArchived(first))
  return isWorthIt ? { kind: 'trim', trimLsn, isArchiving } : null
}

const isArchived = (segment: SegmentMeta): boolean => segment.state === 'sealed' && segment.archive !== undefined
