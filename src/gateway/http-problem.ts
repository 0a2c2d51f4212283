import { asCommanderError, type CommanderError, type ErrorCode, errorCodes } from '../kernel/errors.ts'

/** Statuses that say more than the code does: what HTTP itself knows to be wrong. */
export type ProtocolStatus = 400 | 403 | 404 | 405 | 408 | 413 | 415 | 431

/** An answer that is an error, as RFC 9457 (problem details for HTTP APIs) has it. */
export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: ProblemBody
}

export interface ProblemBody {
  /** `urn:commanderdb:error:` and the code of the error; `urn:commanderdb:rejection` where the application said no. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly retryable: boolean
  readonly details?: unknown
  readonly [more: string]: unknown
}

export const statusOf: Readonly<Record<ErrorCode, number>> = {
  invalid_input: 400,
  invalid_config: 500,
  invalid_module: 500,
  unknown_aggregate: 404,
  unknown_command: 404,
  unknown_projection: 404,
  unknown_workflow: 404,
  schema_violation: 400,
  payload_too_large: 413,
  not_found: 404,
  unauthorized: 401,
  forbidden: 403,
  idempotency_conflict: 409,
  revision_mismatch: 412,
  stream_closed: 409,
  stream_deleted: 410,
  stream_busy: 409,
  command_rejected: 422,
  command_parked: 500,
  command_skipped: 409,
  workflow_unknown: 404,
  workflow_conflict: 409,
  workflow_running: 409,
  workflow_ended: 409,
  workflow_not_parked: 409,
  workflow_failed: 500,
  workflow_cancelled: 500,
  workflow_parked: 500,
  awakeable_unknown: 404,
  overloaded: 429,
  not_ready: 503,
  timeout: 504,
  connection_lost: 503,
  journal_full: 507,
  archive_unavailable: 503,
  not_leader: 503,
  fenced: 503,
  indeterminate: 503,
  segment_sealed: 503,
  log_gap: 503,
  log_trimmed: 500,
  server_poisoned: 503,
  unknown_identity: 503,
  already_exists: 500,
  metadata_unavailable: 503,
  policy_unsatisfiable: 503,
  database_locked: 503,
  foreign_cluster: 500,
  foreign_database: 500,
  no_database: 503,
  journal_corrupt: 500,
  journal_failed: 500,
  store_failed: 500,
  archive_conflict: 500,
  archive_corrupt: 500,
  stale_token: 503,
  stale_state: 503,
  state_diverged: 503,
  protocol_violation: 500,
  unsupported_version: 500,
  process_failed: 503,
  internal: 500,
}

const retryAfterStatuses: ReadonlySet<number> = new Set([429, 503, 507])

export function problemOf(error: unknown, status?: ProtocolStatus): Problem {
  const known = asCommanderError(error)
  const { code, message, retryable, details } = known
  const answered = status ?? (isStoreFull(known) ? 507 : (statusOf[code] ?? 500))
  const type = `urn:commanderdb:error:${code}`
  const body = { type, title: errorCodes[code], status: answered, detail: message, code, retryable }
  return {
    status: answered,
    headers: {
      ...(retryAfterStatuses.has(answered) || code === 'stream_busy'
        ? { 'retry-after': retryAfterSeconds(details) }
        : {}),
      ...leaderHeader(code, details),
    },
    body: details === undefined ? body : { ...body, details },
  }
}

/** URL of the node that leads, for clients and proxies that go by headers. */
export const leaderHeaderName = 'commanderdb-leader'

/**
 * 503, and not 421: proxies and balancers try the next node of theirs on 503, and nothing was taken here; 421 they pass on, and
 * clients take it for their own mistake.
 */
function leaderHeader(code: ErrorCode, details: unknown): Readonly<Record<string, string>> {
  if (code !== 'not_leader' && code !== 'indeterminate') return {}
  const url = (details as { readonly leader?: { readonly url?: unknown } | null } | undefined)?.leader?.url
  return typeof url === 'string' ? { [leaderHeaderName]: url } : {}
}

/** The store takes nothing for want of room, and goes on when there is some. */
const isStoreFull = ({ code, retryable }: CommanderError): boolean => code === 'store_failed' && retryable

/** Whole seconds, as the header demands; 1 where the error does not say. */
function retryAfterSeconds(details: unknown): string {
  const ms = (details as { readonly retryAfterMs?: unknown } | undefined)?.retryAfterMs
  return String(typeof ms === 'number' && ms > 0 ? Math.ceil(ms / 1000) : 1)
}
