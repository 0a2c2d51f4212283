import { hasBrand } from './brand.ts'
/** Every operating error of CommanderDB has one of these codes; what each means for a caller stands beside it. */
export const errorCodes = {
  // wrong input: correct it and call again
  invalid_input: 'the input is malformed or out of range',
  invalid_config: 'the configuration is wrong',
  invalid_module: 'an application module does not load or does not define an application',
  unknown_aggregate: 'no application defines this aggregate type',
  unknown_command: 'the aggregate does not define this command',
  unknown_projection: 'no application defines this projection',
  unknown_workflow: 'no application defines this workflow',
  schema_violation: 'the data does not satisfy its schema',
  payload_too_large: 'the payload is over limits.payloadBytes',
  not_found: 'there is no such thing',
  unauthorized: 'a valid token is missing',
  forbidden: 'the caller may not do this',
  // the state of the database says no
  idempotency_conflict: 'the idempotency key was used before with other data',
  revision_mismatch: 'the aggregate is not at the expected revision',
  stream_closed: 'the stream was closed: it takes no further command',
  stream_deleted: 'the stream was deleted, and its id is not used again',
  stream_busy: 'commands that came before are still pending',
  command_rejected: 'the application rejected the command',
  command_parked: 'the command was given up after its retries and waits for a person',
  command_skipped: 'an operator skipped the parked command',
  workflow_unknown: 'no workflow with this id was started',
  workflow_conflict: 'a workflow with this id was started before, with other input or by another workflow',
  workflow_running: 'the workflow has not ended',
  workflow_ended: 'the workflow has ended',
  workflow_not_parked: 'the workflow is not parked',
  workflow_failed: 'the workflow failed',
  workflow_cancelled: 'the workflow was cancelled',
  workflow_parked: 'the workflow is parked and waits for a person',
  awakeable_unknown: 'no workflow waits for this callback',
  // try again later
  overloaded: 'too much is pending',
  not_ready: 'the database is starting, stopping or recovering',
  timeout: 'no answer in time; the outcome may still come',
  connection_lost: 'the connection ended before the answer; the outcome is unknown',
  journal_full: 'there is no room on the disk for the journal',
  archive_unavailable: 'the archive is down, refuses, or has no room',
  // the replicated journal
  not_leader: 'another node leads the stream; nothing was appended',
  fenced: 'a journal server has promised a higher epoch: this leader was deposed',
  indeterminate: 'the entries may or may not be in the journal',
  segment_sealed: 'the segment is sealed: it takes no further entries',
  log_gap: 'the journal server has no entry before these',
  log_trimmed: 'the entries were trimmed away',
  server_poisoned: 'the journal server could not flush and ends',
  unknown_identity: 'the journal server is not the one that was registered under its id',
  already_exists: 'there is one with that name',
  metadata_unavailable: 'the metadata store does not answer; the change may have been made',
  policy_unsatisfiable: 'too few journal servers for the replication policy',
  // the database or its host is damaged or misused
  database_locked: 'another process has this database open',
  foreign_cluster: 'the peer belongs to another cluster',
  foreign_database: 'the directory belongs to another database or to something else',
  no_database: 'no database runs there',
  journal_corrupt: 'the journal is damaged',
  journal_failed: 'the journal could not be written or flushed',
  store_failed: 'the store could not be read or written',
  archive_conflict: 'the archive holds something else under that name',
  archive_corrupt: 'the archive or the backup is damaged or incomplete',
  stale_token: 'the assignment that this draft was made under is over',
  stale_state: 'the process was too far behind the journal and starts again from the store',
  state_diverged: 'the process holds another state than the others at the same entry',
  protocol_violation: 'a peer sent bytes that are not of the protocol',
  unsupported_version: 'written by a newer version',
  process_failed: 'a process of the database ended',
  internal: 'a bug in CommanderDB',
} as const

export type ErrorCode = keyof typeof errorCodes

export interface CommanderErrorOptions {
  /** The same call may succeed later without any change. Default: what is usual for the code. */
  readonly retryable?: boolean
  /** Values for programs; must survive JSON. */
  readonly details?: unknown
  readonly cause?: unknown
}

const brand = Symbol.for('commanderdb.error')
const retryableCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'overloaded',
  'not_ready',
  'timeout',
  'connection_lost',
  'journal_full',
  'archive_unavailable',
  'not_leader',
  'metadata_unavailable',
  'policy_unsatisfiable',
  'stream_busy',
  'stale_token',
])

const refusalCodes: ReadonlySet<string> = new Set<ErrorCode>(['revision_mismatch', 'stream_closed', 'stream_deleted'])

/** Of commands on workflows, which the database decides: an application's own command may reject with the same words. */
const workflowRefusalCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'workflow_unknown',
  'workflow_conflict',
  'workflow_ended',
  'workflow_not_parked',
  'awakeable_unknown',
])

/** Whether the database itself rejected a command under this code. The outcome is an error for whoever sent it. */
export const isRefusal = (code: string, isOfWorkflow: boolean): code is ErrorCode =>
  refusalCodes.has(code) || (isOfWorkflow && workflowRefusalCodes.has(code))

/**
 * The one operating error. Known by a symbol and not by its class, because it crosses processes and
 * because two copies of the package may be loaded. Messages say what happened, with which values, and what to do.
 */
export class CommanderError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly details: unknown

  constructor(code: ErrorCode, message: string, options: CommanderErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CommanderError'
    this.code = code
    this.retryable = options.retryable ?? retryableCodes.has(code)
    this.details = options.details
    Object.defineProperty(this, brand, { value: true })
  }
}

export function isCommanderError(value: unknown): value is CommanderError {
  return hasBrand(value, brand)
}

/** Of a failure that has no code it is not known whose it is: it is ours. */
export const asCommanderError = (error: unknown): CommanderError =>
  isCommanderError(error) ? error : new CommanderError('internal', messageOf(error), { cause: error })

/** The form in which an error crosses a process boundary. */
export interface WireError {
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  readonly details?: unknown
}

export function toWireError(error: unknown): WireError {
  if (!isCommanderError(error)) return { code: 'internal', message: messageOf(error), retryable: false }
  const wire = { code: error.code, message: error.message, retryable: error.retryable }
  return error.details === undefined ? wire : { ...wire, details: error.details }
}

export function fromWireError(wire: WireError): CommanderError {
  return new CommanderError(wire.code, wire.message, { retryable: wire.retryable, details: wire.details })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
