/**
 * Everything a role may take from the outside world. Roles are deterministic machines: given the same
 * environment they do the same, so one code base runs over sockets, in one process, and under a simulator.
 * `Date.now`, `Math.random`, `setTimeout`, `fs` and `net` appear only in the adapters that implement these.
 */
export interface Clock {
  /** Wall time in milliseconds since 1970, for people and for records. It orders nothing and may jump. */
  wallMs(): number
  /** Milliseconds since an arbitrary start; never falls. All durations are measured with it. */
  monotonicMs(): number
}

export interface Timer {
  /** Idempotent; does nothing once the timer has fired. */
  cancel(): void
}

export interface Scheduler {
  /** Calls `run` once after `delayMs` (0 or more) of monotonic time. Timers do not keep a process alive by themselves. */
  after(delayMs: number, run: () => void): Timer
  /** Calls `run` in the next turn of the event loop, after the input that is already waiting has been read. */
  soon(run: () => void): void
}

export interface Random {
  /** Uniform integer in [0, 2^32). */
  uint32(): number
  /** RFC 9562 version 4 UUID. */
  uuid(): string
}

export interface LogFields {
  readonly [name: string]: unknown
}

export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Log
}

export interface Environment {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly log: Log
}

const nothing = (): void => {}

/** A log that keeps nothing: for tests and for embedded use without a logger. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLog }
