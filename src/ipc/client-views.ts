/** An event as a client sees it. */
export interface ClientEvent {
  readonly type: string
  readonly data: unknown
  readonly aggregate: { readonly type: string; readonly id: string }
  readonly revision: number
  readonly globalPosition: number
  readonly lsn: number
  /** ISO 8601, UTC. */
  readonly at: string
}

export type CommandStatus = 'pending' | 'completed' | 'rejected' | 'parked' | 'skipped'

/** What is known of one command. */
export interface CommandView {
  readonly id: string
  readonly lsn: number
  readonly status: CommandStatus
  readonly aggregate: { readonly type: string; readonly id: string } | null
  readonly command: string | null
  /** completed: what it decided. */
  readonly events?: readonly ClientEvent[]
  /** rejected and parked: why. */
  readonly reason?: { readonly code: string; readonly message: string; readonly details?: unknown }
  readonly attempts?: number
  readonly endLsn?: number
}

export interface ProjectionView {
  readonly name: string
  readonly version: number | null
  readonly status: 'live' | 'rebuilding' | 'failed'
  readonly position: number | null
  readonly message?: string
}
