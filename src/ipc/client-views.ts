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

/** A schedule, and how far it is. Times are ISO 8601, UTC. */
export interface ScheduleView {
  readonly name: string
  readonly application: string
  /** Name of the workflow that it starts. */
  readonly workflow: string
  readonly cron: string
  readonly timezone: string
  readonly overlap: 'skip' | 'queue' | 'allow'
  readonly catchUp: 'latest' | 'none' | 'all'
  /** false: no instance runs its workflow, so that times pass, and are missed ones. */
  readonly isHosted: boolean
  /** When it fires next; null: never again. */
  readonly nextAt: string | null
  /** The last of its times that has fired; null: none yet. */
  readonly lastAt: string | null
  /** Name and id of the workflow that the next time would overlap with; null: none. With `overlap: 'allow'` none counts. */
  readonly running: string | null
  /** Times that wait for it to end. */
  readonly waiting: number
}

/** One partition of a queue. */
export interface QueueView {
  /** Name of the workflow, or aggregate and command: `mailbox/send`. */
  readonly queue: string
  readonly partition: string
  /** Commands, or starts of workflows, that are pending in it; those that are put off too. */
  readonly waiting: number
  /** Those that hold a slot: with a concurrency a workflow from its start to its end, a command until it has ended. */
  readonly running: number
  /** At once; null: no limit. */
  readonly concurrency: number | null
  readonly rateLimit: { readonly limit: number; readonly periodMs: number } | null
}
