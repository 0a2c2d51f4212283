/** What the client of an endurance run is started with, as JSON in its first argument. */
export interface EnduranceOrder {
  readonly dataDir: string
  readonly accounts: number
  readonly concurrency: number
  readonly pauseMs: number
  readonly seconds: number
}

/** What it tells its parent: every minute, and when everything is answered. */
export interface EnduranceReport {
  readonly isLast: boolean
  readonly commands: number
  readonly seconds: number
  /** Commands of each whole minute. */
  readonly perMinute: readonly number[]
  /** Data of all commands. */
  readonly bytes: number
  /** By account, of what was answered. */
  readonly sums: Readonly<Record<string, number>>
}
