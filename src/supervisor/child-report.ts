import type { ArchiveStatus } from '../archive/archive-target.ts'
import type { Leadership } from '../ipc/leadership.ts'
import type { WireError } from '../kernel/errors.ts'
import type { MetricSample } from '../observability/metrics.ts'
import type { NodeComparison } from '../replication/state-comparison.ts'

/** What a child says of itself. `ready` only once it has caught up and does its work. */
export type ReportedState = 'starting' | 'ready' | 'stopping'

/** The journal writer's watermarks. */
export interface JournalWatermarks {
  readonly written: number
  readonly flushed: number
  readonly checkpoint: number
}

/** What the journal takes on disk, and why it takes no less. */
export interface JournalUse {
  /** LSN of its oldest entry. */
  readonly firstLsn: number
  readonly bytes: number
  /** `journal.maxJournalBytes`: at this commands are refused. */
  readonly maxBytes: number
  /** What still needs the oldest segment: `checkpoint`, `archive`, or a process that follows; null when nothing does. */
  readonly heldBy: string | null
}

/** The hash of a process's state after an entry. */
export interface AttestedState {
  readonly lsn: number
  readonly hash: string
}

/** What came of comparing the states of the processes, as the journal writer sees it. */
export interface AttestationReport {
  /** The last entry after which they agreed; 0 before the first time. */
  readonly agreedLsn: number
  readonly agreedHash: string | null
  /** How often a process was found with another state, since the journal writer began. */
  readonly divergences: number
  /** Processes that stay out: they diverged again after they were built anew. */
  readonly quarantined: readonly string[]
  /** The projection applier was among those that diverged: the store may hold what it folded wrongly. */
  readonly storeIsSuspect: boolean
  /** How the states of other nodes of the cluster compare with that of this one, where both said theirs of the same entry. */
  readonly nodes: readonly NodeComparison[]
}

/** How many of each wait for a person. */
export interface ParkedCounts {
  readonly commands: number
  readonly workflows: number
}

/** What a role adds to its reports; sent again with each one. */
export interface ReportFields {
  /** LSN up to which this process has reduced the journal. */
  readonly appliedLsn?: number
  /** What this process said of its state last. */
  readonly attested?: AttestedState
  /** The journal writer's. */
  readonly lsn?: JournalWatermarks
  /** The journal writer's. */
  readonly journal?: JournalUse
  /** The journal writer's: bytes of frames that it has written since it began. */
  readonly writtenBytes?: number
  /** The journal writer's. */
  readonly attestation?: AttestationReport
  /** The journal writer's: whether it leads, or who does. */
  readonly leadership?: Leadership
  /** The gateway's: where HTTP is served. */
  readonly url?: string
  /** The projection applier's: why it applies nothing for now, such as a full disk; null while it does. */
  readonly storeTrouble?: WireError | null
  /** The projection applier's. */
  readonly parked?: ParkedCounts
  /** The projection applier's, where there is an archive; of a replicated journal the journal writer's. */
  readonly archive?: ArchiveStatus
  /** A journal server's. */
  readonly journalServer?: JournalServerReport
  readonly metrics?: readonly MetricSample[]
}

export interface JournalServerReport {
  readonly streams: number
  /** Since its start; each is in the log, and somebody must look. */
  readonly alarms: number
}

/** Sent by every child over the control connection, every second and whenever its state changes. */
export interface ChildReport extends ReportFields {
  readonly name: string
  readonly role: string
  readonly pid: number
  readonly state: ReportedState
  readonly eventLoopLagMs: number
  readonly rssBytes: number
}

/** How the last life of a child ended; its next life finds it in `COMMANDERDB_PREVIOUS_EXIT`. */
export interface PreviousExit {
  readonly code: number | null
  readonly signal: string | null
  /**
   * `watchdog`: killed for silence. `rss`: stopped for its memory. `behind`: it could not follow the journal any more and
   * starts again from the store. `quarantine`: its state diverged. Otherwise it ended by itself or by a stranger's signal.
   */
  readonly reason: 'exit' | 'signal' | 'watchdog' | 'rss' | 'behind' | 'quarantine'
}

export const previousExitVariable = 'COMMANDERDB_PREVIOUS_EXIT'
export const reportIntervalMs = 1000
