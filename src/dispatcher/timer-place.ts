import type { Lsn } from '../kernel/identifiers.ts'

/** Where a timer stands in the store. */
export interface TimerPlace {
  /** Wall time, in milliseconds. */
  readonly dueMs: number
  /** Aggregate key of the workflow. */
  readonly key: string
  readonly operation: string
}

export interface StoredTimer extends TimerPlace {
  /** At a time of the wall clock, not after so long. */
  readonly isAbsolute: boolean
  /** The entry that started it. */
  readonly startedLsn: Lsn
}

/** An operation's name comes again in the next run of its workflow, and a request waits several times: the time tells them apart. */
export const nameOf = ({ dueMs, key, operation }: TimerPlace): string => `${key}\n${operation}\n${dueMs}`

/** In the order of the store: below 0 when `a` comes first. */
export function comparePlaces(a: TimerPlace, b: TimerPlace): number {
  if (a.dueMs !== b.dueMs) return a.dueMs - b.dueMs
  return compareTexts(a.key, b.key) || compareTexts(a.operation, b.operation)
}

const compareTexts = (a: string, b: string): number => (a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b)))
