import type { TimerPlace } from '../workflows/workflow-timers.ts'

/** An operation's name comes again in the next run of its workflow, and a request waits several times: the time tells them apart. */
export const nameOf = ({ dueMs, key, operation }: TimerPlace): string => `${key}\n${operation}\n${dueMs}`

/** In the order of the store: below 0 when `a` comes first. */
export function comparePlaces(a: TimerPlace, b: TimerPlace): number {
  if (a.dueMs !== b.dueMs) return a.dueMs - b.dueMs
  return compareTexts(a.key, b.key) || compareTexts(a.operation, b.operation)
}

const compareTexts = (a: string, b: string): number => (a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b)))
