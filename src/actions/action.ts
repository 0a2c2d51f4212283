import type { Lsn, Revision, Token } from '../kernel/identifiers.ts'
import type {
  AggregateReference,
  AggregateSnapshot,
  EventDraft,
  ForwardedFrom,
  Message,
  ReplyAddress,
} from './entry-parts.ts'
import type { QueueFields, QueueForm } from './queue-actions.ts'
import type { JournalEpochStarted } from './replication-actions.ts'
import type { RegisteredSchedules, ScheduleFired } from './schedule-actions.ts'
import type { WorkflowAdvanced, WorkflowEffects, WorkflowResumed } from './workflow-actions.ts'

export type {
  AggregateReference,
  AggregateSnapshot,
  EventDraft,
  ForwardedFrom,
  Message,
  ReplyAddress,
} from './entry-parts.ts'
export type { QueueFields, QueueForm, RateLimitForm } from './queue-actions.ts'
export type { JournalEpochStarted } from './replication-actions.ts'
export type { RegisteredSchedules, ScheduleFired, ScheduleForm, ScheduleOverlap } from './schedule-actions.ts'
export type { WorkflowAdvanced, WorkflowEffects, WorkflowResumed } from './workflow-actions.ts'

/** Where a retry of the same call is recognised by: one client's numbered calls (as in RIFL, SOSP 2015). */
export interface SessionCall {
  /** Random number of the client session, 1 to 2^53 - 1. */
  readonly session: number
  /** 1, 2, 3… within the session. */
  readonly sequence: number
  /** The client has the answers of all calls below this one and will not ask again. */
  readonly answeredBelow: number
}

export interface IdempotencyKey {
  readonly key: string
  /** 16 bytes over aggregate, command and data: the same key with another digest is a conflict. */
  readonly digest: Uint8Array
  /** How long the key is remembered after the command was received, in milliseconds. */
  readonly ttlMs: number
}

/** command received: (idempotency key saved); the client session seen */
export interface CommandReceived extends QueueFields {
  readonly type: 'command/received'
  readonly aggregate: AggregateReference
  readonly command: string
  readonly data: unknown
  readonly receivedAtMs: number
  readonly call: SessionCall | null
  readonly idempotencyKey: IdempotencyKey | null
  /** Decide only if the aggregate is at this revision; null: at any. */
  readonly expectedRevision: Revision | null
  readonly metadata: Readonly<Record<string, string>> | null
  /** Version of the aggregate's definition that the command was admitted under; absent where none was noted. */
  readonly definitionVersion?: number
  /** Sent by an entry of the journal and not by a client: void unless that entry's message still waits to be forwarded. */
  readonly forwarded?: ForwardedFrom
  /** The workflow that is told how the command ended. */
  readonly reply?: ReplyAddress
}

/** command started: aggregate instances assigned to the application instance, for whole runs of commands */
export interface CommandStarted {
  readonly type: 'command/started'
  readonly instance: string
  readonly commands: readonly Lsn[]
  /** By the dispatcher's own time, which never goes back: what rate limits count. Absent where none of them has a queue. */
  readonly atMs?: number
}

/** What every entry that ends a command's attempt must carry. */
interface EndOfAttempt {
  readonly command: Lsn
  readonly aggregate: AggregateReference
  /** The assignment that the attempt was made under, and that this entry releases. */
  readonly release: Token
  readonly atMs: number
}

/**
 * command completed: events appended; (stream started, when the base revision is 0); latest event of the aggregate
 * updated; idempotency key bound to its outcome; assignment released. None of these can be left out.
 */
export interface CommandCompleted extends EndOfAttempt {
  readonly type: 'command/completed'
  readonly baseRevision: Revision
  /** Version of the aggregate's definition that the events were written under. */
  readonly eventsVersion: number
  readonly events: readonly EventDraft[]
  /** Revision and type of the aggregate's latest event after this entry; null when it has none yet. */
  readonly latestEvent: { readonly revision: Revision; readonly type: string | null } | null
  /** Whether the command came with an idempotency key, whose outcome this entry now is. */
  readonly idempotencyKey: 'bound' | 'none'
  readonly snapshot: AggregateSnapshot | null
  /** What the command does to the activation of a workflow; absent where it does nothing. */
  readonly workflow?: WorkflowEffects
  /** Absent where there are none. */
  readonly messages?: readonly Message[]
}

/** command ended by the application's no */
export interface CommandRejected extends EndOfAttempt {
  readonly type: 'command/rejected'
  readonly idempotencyKey: 'bound' | 'none'
  readonly code: string
  readonly message: string
  readonly details: unknown
}

/** one attempt failed and another follows: assignment released; (application instance deregistered by its own entry) */
export interface CommandFailed extends EndOfAttempt {
  readonly type: 'command/failed'
  readonly message: string
  readonly retryDelayMs: number
}

/** given up after its retries, for a person to see */
export interface CommandParked extends EndOfAttempt {
  readonly type: 'command/parked'
  readonly idempotencyKey: 'bound' | 'none'
  readonly message: string
  readonly attempts: number
  /** The aggregate takes no further command until a person retries or skips this one. */
  readonly blocksAggregate: boolean
}

/** an operator puts a parked command back; carries the whole command again, so that old segments may go */
export interface CommandRetried {
  readonly type: 'command/retried'
  readonly command: Lsn
  readonly received: CommandReceived
}

/** an operator gives a parked command up for good; an aggregate that it blocked goes on */
export interface CommandSkipped {
  readonly type: 'command/skipped'
  readonly command: Lsn
  readonly aggregate: AggregateReference
  readonly reason: string
  /** The workflow that waited for the command. */
  readonly reply?: ReplyAddress
}

/** The events of one entry in their new form, as they are packed in an entry. */
export type RewrittenEvents = readonly [firstPosition: number, events: Uint8Array]

/** A pending or parked command in its new form: the whole `command/received`. */
export type RewrittenCommand = readonly [command: Lsn, received: Uint8Array]

/**
 * started: from now on the type is under migration. rewritten: a batch of the new form, kept beside the old one.
 * switched: readers see the new form, pending commands have it, and everything that was started is to be started anew.
 */
export type MigrationStep =
  | { readonly phase: 'started'; readonly fromVersion: number; readonly digest: string; readonly atMs: number }
  | {
      readonly phase: 'rewritten'
      /** The position up to which the batch before had come; a batch that does not follow on it is void. */
      readonly after: number
      /** All events of older versions up to this position are rewritten. */
      readonly through: number
      readonly events: readonly RewrittenEvents[]
      readonly commands: readonly RewrittenCommand[]
    }
  | { readonly phase: 'switched' }

/**
 * all streams of one aggregate type rewritten to another schema version, step by step. The migration's code is not in
 * the journal, so what it made of events and commands is.
 */
export interface StreamMigrated {
  readonly type: 'stream/migrated'
  readonly aggregateType: string
  readonly toVersion: number
  /** LSN of the entry that started the migration; 0 in that entry itself. */
  readonly migration: Lsn
  readonly step: MigrationStep
}

/** there is no way back behind the switch: the old form goes */
export interface StreamMigrationFinalised {
  readonly type: 'stream/migration-finalised'
  readonly aggregateType: string
  readonly migration: Lsn
}

/** the new form goes; after the switch readers see the old form again, and everything is to be started anew */
export interface StreamMigrationAbandoned {
  readonly type: 'stream/migration-abandoned'
  readonly aggregateType: string
  readonly migration: Lsn
}

/**
 * events of a stream lie in an object of the archive, which was read back and compared before this was drafted; they leave
 * the store. Void unless they follow the last archived one of a stream that is there
 */
export interface StreamArchived {
  readonly type: 'stream/archived'
  readonly aggregate: AggregateReference
  readonly from: Revision
  readonly upTo: Revision
  /** The completion that decided on the last of them. */
  readonly lastLsn: Lsn
  readonly object: string
  /** SHA-256 of the object's bytes, in hexadecimal digits. */
  readonly digest: string
  /** A state from which commands go on without the archived events. */
  readonly snapshot: (AggregateSnapshot & { readonly revision: Revision }) | null
  readonly atMs: number
}

/**
 * an aggregate takes no further command: those received before this entry are still decided, later ones are refused. For
 * good: of several such entries the first one counts
 */
export interface StreamClosed {
  readonly type: 'stream/closed'
  readonly aggregate: AggregateReference
  readonly atMs: number
}

/**
 * the events, snapshot and indexes of a closed stream are removed from the store; its id stays taken. Void while a command
 * from before `closedLsn` is pending, for it may still decide on events
 */
export interface StreamDeleted {
  readonly type: 'stream/deleted'
  readonly aggregate: AggregateReference
  /** The `stream/closed` that goes before. */
  readonly closedLsn: Lsn
  readonly atMs: number
}

/** keys whose time was over at `untilMs` no longer count */
export interface IdempotencyKeyExpired {
  readonly type: 'idempotency-key/expired'
  readonly untilMs: number
}

/** keys that expired before are removed from the store */
export interface IdempotencyKeyDeleted {
  readonly type: 'idempotency-key/deleted'
  readonly untilMs: number
}

/** Why an application instance's former incarnation ended, as its supervisor saw it. */
export type EndOfIncarnation = 'unknown' | 'stopped' | 'crashed' | 'killed'

/** an application instance begins to work; what its former incarnation had started is released */
export interface ApplicationRegistered {
  readonly type: 'application/registered'
  readonly instance: string
  readonly application: string
  /** Number of the process incarnation: entries with this origin are its. */
  readonly incarnation: number
  readonly aggregateTypes: readonly string[]
  /** The version of the definition of each of these types; absent in entries of before migrations were. */
  readonly aggregateVersions?: readonly number[]
  readonly former: EndOfIncarnation
  /** All that the application has; absent where it has none. */
  readonly schedules?: RegisteredSchedules
  /** All that the application has; absent where it has none. */
  readonly queues?: readonly QueueForm[]
}

/** coalesced liveness; never one per heartbeat */
export interface ApplicationSeen {
  readonly type: 'application/seen'
  readonly instance: string
  readonly atMs: number
}

/** application instance deregistered: its assignments released */
export interface ApplicationDeregistered {
  readonly type: 'application/deregistered'
  readonly instance: string
  readonly reason: 'silent' | 'stopped' | 'crashed'
}

/** aggregate instance unassigned from an application instance without a command ending */
export interface AggregateUnassigned {
  readonly type: 'aggregate/unassigned'
  readonly aggregate: AggregateReference
  readonly instance: string
}

export interface CheckpointStarted {
  readonly type: 'checkpoint/started'
  readonly upTo: Lsn
}

/** the store is flushed up to `upTo`: older segments are stale */
export interface CheckpointCompleted {
  readonly type: 'checkpoint/completed'
  readonly upTo: Lsn
  readonly stateHash: string
}

/** Everything that the journal may say, Redux style; a closed union. */
export type Action =
  | CommandReceived
  | CommandStarted
  | CommandCompleted
  | CommandRejected
  | CommandFailed
  | CommandParked
  | CommandRetried
  | CommandSkipped
  | StreamMigrated
  | StreamArchived
  | StreamClosed
  | StreamDeleted
  | StreamMigrationFinalised
  | StreamMigrationAbandoned
  | IdempotencyKeyExpired
  | IdempotencyKeyDeleted
  | ApplicationRegistered
  | ApplicationSeen
  | ApplicationDeregistered
  | AggregateUnassigned
  | CheckpointStarted
  | CheckpointCompleted
  | WorkflowAdvanced
  | WorkflowResumed
  | ScheduleFired
  | JournalEpochStarted

/** An action with its place in the journal. */
export interface Entry<A extends Action = Action> {
  readonly lsn: Lsn
  /** Version of the action's form on disk, before upcasting. */
  readonly version: number
  /** The process incarnation that drafted it, and the number of the draft among its drafts. */
  readonly origin: number
  readonly sequence: number
  readonly wallMs: number
  readonly action: A
}
