import { join } from 'node:path'
import type { ArchiveStatus } from '../archive/archive-target.ts'
import type { LeaderAddress } from '../ipc/leadership.ts'
import { CommanderError, messageOf, type WireError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { MetricSample } from '../observability/metrics.ts'
import type { ProvisionedServer } from '../replication/orchestrator.ts'
import type {
  AttestationReport,
  AttestedState,
  ChildReport,
  JournalUse,
  JournalWatermarks,
  ParkedCounts,
} from './child-report.ts'
import type { Lag } from './journal-history.ts'
import type { ChildState } from './supervised-child.ts'

/**
 * The control connection, over `run/supervisor.sock`. Bodies are JSON: a few messages a second.
 *
 * | kind | from -> to           | body           |
 * |------|----------------------|----------------|
 * | 1    | child -> supervisor  | ChildReport    |
 * | 2    | client -> supervisor | ControlRequest |
 * | 3    | supervisor -> client | ControlAnswer  |
 */
export const kindReport = 1
export const kindRequest = 2
export const kindAnswer = 3

/** `servers`, `provision` and `deprovision` are about the journal servers of this host: see HostOrchestrator. */
export type ControlOrder = { readonly verb: 'status' | 'stop' } | ServerOrder

export type ServerOrder =
  | { readonly verb: 'servers' }
  | { readonly verb: 'provision'; readonly count: number }
  | { readonly verb: 'deprovision'; readonly server: string }

export type ControlVerb = ControlOrder['verb']

export type ControlRequest = ControlOrder & { readonly id: number }

export type ControlAnswer =
  | { readonly id: number; readonly status: DatabaseStatus }
  | { readonly id: number; readonly servers: readonly ProvisionedServer[] }
  /** Ids of those that were provisioned, or of the one that was deprovisioned. */
  | { readonly id: number; readonly changed: readonly string[] }
  | { readonly id: number; readonly error: WireError }

export interface ProcessStatus {
  readonly name: string
  readonly role: string
  /** Null while no process runs. */
  readonly pid: number | null
  readonly state: ChildState
  readonly restarts: number
  /** Null until it has reported. */
  readonly rssBytes: number | null
  readonly eventLoopLagMs: number | null
  /** Null for processes that follow no journal. */
  readonly appliedLsn: number | null
  /** Behind the journal, as of the last reports, which are up to a second old; null as above. */
  readonly lag: Lag | null
  /** What it said of its state last; null before the first comparison, and for processes that hold none. */
  readonly attested: AttestedState | null
  /** Over its restart intensity, or kept out because its state diverged again. */
  readonly degraded: boolean
  readonly metrics: readonly MetricSample[]
}

/** What `commanderdb status --json` prints and `GET /v1/status` answers. */
export interface DatabaseStatus {
  /** All processes are at work: commands are accepted, or, where another node leads, refused in its name. */
  readonly ready: boolean
  /**
   * `follower`: another node leads the replicated journal, or none does; commands are refused, reads answered. `none`: no database
   * is here, but journal servers of others.
   */
  readonly role: 'leader' | 'follower' | 'none'
  /** Of the replicated journal; null where this node keeps its journal alone. */
  readonly replication: { readonly epoch: number; readonly leader: LeaderAddress | null } | null
  readonly dataDir: string
  /** Null without HTTP, and until the gateway has reported. */
  readonly url: string | null
  readonly lsn: JournalWatermarks
  /** Null without an archive, and until the process that archives has reported. */
  readonly archive: ArchiveStatus | null
  /** Null until the journal writer has reported. */
  readonly journal: JournalUse | null
  /** What waits for a person, as of the last second; null until the projection applier has reported. */
  readonly parked: ParkedCounts | null
  /** Why nothing is applied to the store for now, such as a full disk: reads see it as it is. Null while all is well. */
  readonly storeTrouble: WireError | null
  /** Some process is over its restart intensity or kept out, the store is suspect or in trouble, or another node has another state. */
  readonly degraded: boolean
  /** Whether the processes' states agree; null until the journal writer has reported. */
  readonly attestation: AttestationReport | null
  readonly processes: readonly ProcessStatus[]
}

export function controlAddressOf(dataDir: string): string {
  return join(dataDir, 'run', 'supervisor.sock')
}

export function encodeControl(message: ChildReport | ControlRequest | ControlAnswer): Buffer {
  return Buffer.from(JSON.stringify(message))
}

/** @throws CommanderError `protocol_violation` */
export function decodeReport(body: Buffer): ChildReport {
  const report = decode<ChildReport>(body)
  const { name, pid, state, rssBytes, eventLoopLagMs } = report
  if (typeof name !== 'string' || typeof pid !== 'number') throw violation('a report without name or pid')
  if (state !== 'starting' && state !== 'ready' && state !== 'stopping')
    throw violation(`a report with the state ${String(state)}`)
  if (typeof rssBytes !== 'number' || typeof eventLoopLagMs !== 'number')
    throw violation('a report without its measurements')
  return report
}

/** @throws CommanderError `protocol_violation` */
export function decodeRequest(body: Buffer): ControlRequest {
  const request = decode<ControlRequest>(body)
  if (typeof request.id !== 'number') throw violation('a request without id')
  const { verb } = request
  if (verb === 'provision' && !isCount(request.count)) throw violation('a request to provision without a count')
  if (verb === 'deprovision' && typeof request.server !== 'string') throw violation('a request about no server')
  return request
}

const isCount = (count: unknown): boolean =>
  Number.isInteger(count) && (count as number) >= 1 && (count as number) <= limits.provisionedAtOnceMax

/** @throws CommanderError `protocol_violation` */
export function decodeAnswer(body: Buffer): ControlAnswer {
  const answer = decode<ControlAnswer>(body)
  if (typeof answer.id !== 'number') throw violation('an answer without id')
  return answer
}

function decode<Message extends object>(body: Buffer): Message {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw violation(messageOf(error))
  }
  if (typeof value !== 'object' || value === null) throw violation('a message that is no object')
  return value as Message
}

function violation(what: string): CommanderError {
  return new CommanderError('protocol_violation', `the control connection carried ${what}`)
}
