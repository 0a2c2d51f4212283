/** What a run of a workflow's code begins with. */
export interface RunStart {
  /** The workflow's aggregate key. */
  readonly key: string
  readonly id: string
  /** 1, 2, 3… with `continueAsNew`. */
  readonly run: number
  readonly input: unknown
  readonly version: number
  readonly atMs: number
  /** Patches that the history holds. */
  readonly patches: readonly string[]
  /** There is more history than the event that the run begins with. */
  readonly isReplayed: boolean
}
