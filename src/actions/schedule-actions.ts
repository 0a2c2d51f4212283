import type { AggregateReference, Message } from './entry-parts.ts'

/** What happens at a time at which the workflow of an earlier one is still under way. */
export type ScheduleOverlap = 'skip' | 'queue' | 'allow'

/** A schedule as an application registers it. */
export interface ScheduleForm {
  readonly name: string
  readonly cron: string
  readonly timezone: string
  readonly overlap: ScheduleOverlap
  readonly catchUp: 'none' | 'latest' | 'all'
  /** Name of the workflow that it starts. */
  readonly workflow: string
  readonly input: unknown
  /** The partition of the workflow's queue; absent where it has none. */
  readonly partition?: string
}

export interface RegisteredSchedules {
  /** Times up to this one are not of a schedule that was not there before. */
  readonly atMs: number
  readonly definitions: readonly ScheduleForm[]
}

/**
 * the time of a schedule has come: its workflow started, or it waits for the one before, or it is left out. Void when the
 * schedule has come further already
 */
export interface ScheduleFired {
  readonly type: 'schedule/fired'
  readonly schedule: string
  readonly scheduledMs: number
  readonly atMs: number
  readonly overlap: ScheduleOverlap
  /** The workflow of this time. */
  readonly aggregate: AggregateReference
  /** Starts it. */
  readonly messages: readonly Message[]
}
