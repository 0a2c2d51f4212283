import { limits } from '../kernel/limits.ts'
import type { TimerQueueOptions } from './timer-queue.ts'

export interface DispatcherOptions {
  /** Commands started on one instance and not yet terminal. 1 or more; default `limits.startedPerInstanceMax`. */
  readonly startedPerInstance: number
  /** An instance with started commands and no progress for this long is deregistered. Default 30,000. */
  readonly silenceMs: number
  /** How often expiries and silence are looked after. Default 5,000. */
  readonly sweepMs: number
  /** The timers in the store behind a place, in their order. Default: there are none. */
  readonly readTimers: TimerQueueOptions['read']
}

export const defaultDispatcherOptions: DispatcherOptions = {
  startedPerInstance: limits.startedPerInstanceMax,
  silenceMs: 30_000,
  sweepMs: 5_000,
  readTimers: () => [],
}
