import { type Lsn, lsn } from '../kernel/identifiers.ts'
import type { SegmentState, ServerId } from './messages.ts'
import { rules } from './rules.ts'
import type { OpenSegment } from './stream-meta.ts'

/** What the sealed servers told; null for one that never had the segment. */
export type SealAnswers = ReadonlyMap<ServerId, SegmentState | null>

/**
 * O4: where the segment ends, or null while that cannot be said. It is the highest entry that anybody has, because among
 * Qs servers whose end is known at least one has every entry that may have been acknowledged. Where damage took the last copy of an
 * entry, the segment ends below it only if Qs servers surely never had it, for then nobody was told that it is there.
 */
export function sealGoal(segment: OpenSegment, answers: SealAnswers): Lsn | null {
  const quorum = rules.sealQuorum(segment.policy)
  const exact = [...answers.values()].filter(rules.isExact)
  if (exact.length < quorum) return null
  const states = [...answers.values()].filter((state) => state !== null)
  const highest = lsn(Math.max(segment.base - 1, ...states.map(rules.heldUpTo)))
  const lost = firstUnreadable(states, segment.base, highest)
  if (lost === null) return highest
  const without = exact.filter((state) => state === null || rules.heldUpTo(state) < lost)
  return without.length >= quorum ? lsn(lost - 1) : null
}

/** The highest entry that anybody knows to be committed. */
export const knownCommitted = (segment: OpenSegment, answers: SealAnswers): Lsn =>
  lsn(Math.max(segment.base - 1, ...[...answers.values()].map((state) => state?.committed ?? 0)))

/** The first entry of which nobody has an intact copy; null if there is none up to `until`. */
function firstUnreadable(states: readonly SegmentState[], from: Lsn, until: Lsn): Lsn | null {
  let at = from
  while (at <= until) {
    const reach = Math.max(...states.map((state) => intactFrom(state, at)))
    if (reach < at) return at
    at = lsn(reach + 1)
  }
  return null
}

/** The last entry of the intact stretch that begins at `at`; below `at` if it is damaged or not there. */
function intactFrom({ flushed, damaged }: SegmentState, at: Lsn): number {
  const hit = damaged.find(({ to }) => to >= at)
  return hit === undefined ? flushed : Math.min(flushed, hit.from - 1)
}
