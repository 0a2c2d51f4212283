import type { StoredTimer } from '../workflows/workflow-timers.ts'

/** A timer in memory. */
export interface HeldTimer extends StoredTimer {
  /** When it is due, by the monotonic clock. */
  at: number
  /** Among those that are due at the same time: the order in which they came. */
  readonly number: number
  state: 'waiting' | 'fired' | 'removed'
}

/** Those that are due first come first. */
export const isDueBefore = (a: HeldTimer, b: HeldTimer): boolean =>
  a.at < b.at || (a.at === b.at && a.number < b.number)
