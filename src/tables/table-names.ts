/** The tables of the store. Who reads them needs no lock; only the projection applier writes them. */
export const tableNames = {
  /** How far the store has applied the journal, and the root state to start a child from. */
  meta: 'meta',
  /** Position of its first event -> completed entries one behind the other, as they lie in the journal. */
  log: 'log',
  /** Aggregate key -> revision, last LSN and where the newest events lie. */
  heads: 'heads',
  /** Aggregate key, first revision -> where 32 events lie. */
  streams: 'streams',
  /** Aggregate key -> since when it is closed or deleted, and what of it is archived. */
  lives: 'lives',
  /** LSN of a `stream/archived` entry -> where those events lie. */
  archives: 'archives',
  /** LSN of the entry that removes a stream's events -> how far that is. */
  removals: 'removals',
  /** Migration, position of the first event of an entry -> its events in the new form. */
  rewritten: 'rewritten',
  /** Aggregate key -> newest snapshot of its state. */
  snapshots: 'snapshots',
  /** LSN of a command -> how it ended. */
  outcomes: 'outcomes',
  /** LSN of a parked command -> the command, to be retried. */
  parked: 'parked',
  /** Idempotency key -> command, digest, expiry. */
  keys: 'keys',
  /** Expiry, idempotency key -> nothing: what to delete next. */
  expiries: 'expiries',
  /** Workflow type, id -> its status. */
  workflows: 'workflows',
  /** Workflow type, id of those that are parked -> nothing. */
  parkedWorkflows: 'parked-workflows',
  /** When it is due, workflow key, operation -> kind of timer. */
  timers: 'timers',
  /** Projection name and version, row key -> value. */
  rows: 'rows',
  /** Projection name -> live version and the progress of a rebuild. */
  projections: 'projections',
} as const

export const allTables: readonly string[] = Object.values(tableNames)
