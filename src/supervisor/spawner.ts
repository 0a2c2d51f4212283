import type { WireError } from '../kernel/errors.ts'
import type { PreviousExit } from './child-report.ts'
import type { ChildSpecification } from './child-specification.ts'

export interface SpawnRequest {
  readonly specification: ChildSpecification
  readonly previousExit: PreviousExit | undefined
}

export interface ExitReport {
  readonly code: number | null
  readonly signal: string | null
  /** The error of its last words, if it had any; also why it could not be spawned. */
  readonly fatal?: WireError
}

/** A running process. Both methods do nothing once it has ended. */
export interface SpawnedChild {
  /** Undefined if it could not be spawned. */
  readonly pid: number | undefined
  /** SIGTERM: drain and exit. */
  terminate(): void
  /** SIGKILL; also ends a stopped (SIGSTOP) process. */
  kill(): void
}

/** What the supervision needs of the operating system. */
export interface Spawner {
  /**
   * The child will be spawned for the first time before long: its program may be loaded meanwhile, but must do nothing.
   * A child that is prepared and never spawned ends with the supervisor.
   */
  prepare?(specification: ChildSpecification): void
  /** @param onExit called exactly once, and never from within `spawn` or a method of the child. */
  spawn(request: SpawnRequest, onExit: (exit: ExitReport) => void): SpawnedChild
}
