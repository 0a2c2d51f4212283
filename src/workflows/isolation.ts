import type { RunStart } from './run-start.ts'

/** Tells which workflow's code is running, over all its awaits. */
export interface Isolation {
  /** Runs the code of a workflow, or with null code that is no workflow's, such as an effect. */
  run<Result>(start: RunStart | null, code: () => Result): Result
}

/** Tells nobody. */
export const noIsolation: Isolation = { run: (_, code) => code() }
