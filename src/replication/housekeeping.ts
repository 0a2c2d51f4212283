import { lsn } from '../kernel/identifiers.ts'
import type { LeaderShell } from './leader-shell.ts'
import type { Wish } from './leader-state.ts'
import type { NodeRecord } from './node-record.ts'
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
  /** To the next one; null where there are too few servers. */
  readonly roll: () => Wish | null
  /** For servers that are to leave; null for nothing to be done. */
  readonly care: () => Wish | null
  /** Who is there is known: the metadata store answers. */
  readonly isCurrent: boolean
}

/**
 * What a leader does beside leading: servers that leave are replaced, sealed segments archived, and trimmed once no node needs them.
 * @returns what it wants of the record by now; null for nothing
 */
export function keepHouse(leader: LeaderShell, house: House): Wish | null {
  if (leader.failed !== null || leader.isChangingRecord || !house.isCurrent) return null
  house.archiver?.look(leader)
  const roll = leader.segmentBytes >= house.segmentBytes ? house.roll : () => null
  return house.care() ?? roll() ?? trimWish(leader.meta, house)
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
