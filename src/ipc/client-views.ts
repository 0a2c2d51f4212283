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
  /** pending: why it is not started; absent once it is. */
  readonly waitingFor?: string
  readonly endLsn?: number
}

/** What has become of a stream. */
export interface StreamView {
  readonly aggregate: { readonly type: string; readonly id: string }
  /** closed: it takes no further command. deleted: its events are gone, and its id is not used again. */
  readonly status: 'open' | 'closed' | 'deleted'
  /** Of its latest event; of a deleted stream the one that it had. */
  readonly revision: number
  /** Events up to this revision lie in the archive, from where they are read back; 0 when none do. */
  readonly archivedUpTo: number
  /** The entries that say so. */
  readonly closedLsn: number | null
  readonly deletedLsn: number | null
}

export interface ProjectionView {
  readonly name: string
  readonly version: number | null
  readonly status: 'live' | 'rebuilding' | 'failed'
  readonly position: number | null
  readonly message?: string
}
