import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import type { ServerId } from './messages.ts'
import type { ReplicationPolicy } from './replication-policy.ts'
import type { Step } from './step.ts'
import type { StreamMeta } from './stream-meta.ts'

/** Collects heartbeats, and suggests. It decides nothing: its loss stops reconfiguration, never appends. */
export interface MasterState {
  readonly options: MasterOptions
  readonly nodes: ReadonlyMap<string, NodeHeard>
  readonly servers: ReadonlyMap<ServerId, ServerHeard>
  readonly streams: ReadonlyMap<string, StreamView>
  /** Servers that were asked for and have not been heard of. */
  readonly ordered: number
  readonly orderedMs: number
  readonly startedMs: number
  readonly nowMs: number
}

export interface MasterOptions {
  /** A node that leads and is not heard of for so long is silent. Milliseconds. */
  readonly leaderSilenceMs: number
  /** Whoever is suggested as leader has so long to become it before another one is; longer each time. Milliseconds. */
  readonly leaseMs: number
  /** The same of a server. Milliseconds. */
  readonly silenceMs: number
  /** For streams that have no segment yet. */
  readonly policy: ReplicationPolicy
  /** null: it orders no servers and gives none back. */
  readonly spares: SparesWanted | null
  /** Development: members of a group may share a device. */
  readonly mayShareDevice: boolean
}

/** Servers beyond what the policy needs. */
export interface SparesWanted {
  /** At least so many. */
  readonly min: number
  /** At most so many without anything to do. */
  readonly max: number
  /** Only those of this host are given back: of others somebody else decides. null: all of them may be. */
  readonly host: string | null
}

export interface NodeHeard {
  readonly id: string
  readonly incarnation: string
  readonly heardMs: number
  /** How far its cache of each stream reaches: who has most leads soonest. */
  readonly ends: ReadonlyMap<string, Lsn>
}

export interface ServerHeard {
  readonly id: ServerId
  readonly host: string
  readonly device: string
  readonly bytes: number
  readonly heardMs: number
}

export interface StreamView {
  readonly meta: StreamMeta
  readonly suggestion: Suggestion | null
  readonly suggestedMs: number
  /** Suggestions of a leader since somebody led: each waits longer than the one before. */
  readonly attempts: number
}

/** Under `suggestions/<stream>`. Who it is for does as it says, unless the epoch is over by then. */
export interface Suggestion {
  readonly epoch: Epoch
  /** Node that should lead; null: the one that does. */
  readonly leader: string | null
  /** Group for the next segment; null: the one that there is. */
  readonly group: readonly ServerId[] | null
  /** How the next segment is kept; null: as the open one is. */
  readonly policy: ReplicationPolicy | null
  /** The open segment is ended and another one begun, though nothing else may change. */
  readonly seal: boolean
  /** `operator`: the node that leads gives the lead up first, and the master leaves it alone for a while. */
  readonly by: 'master' | 'operator'
}

export type MasterEvent =
  | { readonly kind: 'tick'; readonly nowMs: number }
  | {
      readonly kind: 'nodeHeard'
      readonly id: string
      readonly incarnation: string
      readonly ends: ReadonlyMap<string, Lsn>
    }
  | {
      readonly kind: 'serverHeard'
      readonly id: ServerId
      readonly host: string
      readonly device: string
      readonly bytes: number
    }
  | { readonly kind: 'metaSeen'; readonly meta: StreamMeta }
  | { readonly kind: 'streamDeleted'; readonly stream: string }

export type MasterEffect =
  | { readonly do: 'suggest'; readonly stream: string; readonly suggestion: Suggestion }
  | { readonly do: 'provision'; readonly count: number }
  | { readonly do: 'deprovision'; readonly server: ServerId }

export type MasterStep = Step<MasterState, MasterEffect>
