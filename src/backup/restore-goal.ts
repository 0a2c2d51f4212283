import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** Where a restore is to end: with everything there is, an entry, or the last frame that was written by a time. */
export type RestoreGoal =
  | { readonly to: 'end' }
  | { readonly to: 'lsn'; readonly lsn: Lsn }
  | { readonly to: 'time'; readonly wallMs: number }

/** How many of a frame's entries belong to what is restored: all, some, or none. */
export function entriesWithin(
  goal: RestoreGoal,
  { firstLsn, entryCount, wallMs }: { readonly firstLsn: Lsn; readonly entryCount: number; readonly wallMs: number },
): number {
  switch (goal.to) {
    case 'end':
      return entryCount
    case 'lsn':
      return Math.max(0, Math.min(entryCount, goal.lsn - firstLsn + 1))
    default:
      return wallMs <= goal.wallMs ? entryCount : 0
  }
}

/** Nothing behind this entry is needed. */
export const isReached = (goal: RestoreGoal, at: number): boolean => goal.to === 'lsn' && at >= goal.lsn

export const goalText = (goal: RestoreGoal): string =>
  goal.to === 'end' ? 'the end' : goal.to === 'lsn' ? `LSN ${goal.lsn}` : new Date(goal.wallMs).toISOString()

export const lastLsnOf = (firstLsn: Lsn, entries: number): Lsn => lsn(firstLsn + entries - 1)
