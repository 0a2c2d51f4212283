import type { Environment } from '../kernel/environment.ts'
import type { Suggestion } from './master-state.ts'
import type { MetadataStore } from './metadata-store.ts'
import type { Peer, StreamMeta } from './stream-meta.ts'

export interface StreamRecord {
  readonly meta: StreamMeta
  readonly revision: number
}

/** Carries out what a role decides: the shell of the recovery and of the leader. */
export interface RoleRunner {
  /** Take the next epoch after this record, repair, open, lead. Ends by `lost` of the role, or goes on until `deposed`. */
  campaign(stream: string, record: StreamRecord): void
  /** A watch saw it, or that there is none; it may be old. */
  recordSeen(stream: string, record: StreamRecord | null): void
  /** Gives up the lead, or the try: what was appended is committed first where that is possible. */
  resign(stream: string): Promise<void>
  /** Another segment is wanted, on other servers or by another policy. Said again and again while it is. */
  regroup(stream: string, suggestion: Suggestion): void
  /** It has begun to lead: its record may be seen before it knows that it was made. */
  leads(stream: string): boolean
}

export interface StreamRolesOptions {
  readonly store: MetadataStore
  readonly environment: Environment
  readonly me: Peer
  readonly leaseMs: number
  readonly runner: RoleRunner
  /** Who wants to lead a stream that does not exist makes it. Default: such a try is lost. */
  readonly createsStreams?: boolean
}
