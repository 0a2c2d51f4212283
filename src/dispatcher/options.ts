import { limits } from '../kernel/limits.ts'
import type { TimerQueueOptions } from './timer-queue.ts'

export interface DispatcherOptions {
  /** Commands started on one instance and not yet terminal. 1 or more; default `limits.startedPerInstanceMax`. */
  readonly startedPerInstance: number
  /**
   * An instance with started commands and no progress for this long is deregistered, and so is one with active workflows whose
   * process does not answer for this long. Default 30,000.
   */
  readonly silenceMs: number
  /**
   * From the entry that says that keys are over to the one that deletes them. A process that is further behind then has
   * to start again from the store. Default 60,000.
   */
  readonly keysKeptMs: number
  /** How often expiries and silence are looked after. Default 5,000. */
  readonly sweepMs: number
  /** While timers or schedules wait, whether the wall clock has jumped is looked at so often. Default 1,000. */
  readonly lookMs: number
  /** The timers in the store behind a place, in their order. Default: there are none. */
  readonly readTimers: TimerQueueOptions['read']
}

export const defaultDispatcherOptions: DispatcherOptions = {
  startedPerInstance: limits.startedPerInstanceMax,
  silenceMs: limits.applicationSilenceMsDefault,
  keysKeptMs: 60_000,
  sweepMs: 5_000,
  lookMs: 1_000,
  readTimers: () => [],
}
