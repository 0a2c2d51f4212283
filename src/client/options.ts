import type { ClientEvent, ClientOutcome } from '../ipc/call-codec.ts'
import type { Consistency, Durability } from '../ipc/client-protocol.ts'
import type { CommandView, ProjectionView, QueueView, ScheduleView, StreamView } from '../ipc/client-views.ts'
import type { AnyAggregate, CommandData, CommandName, EventsOf, StateOf } from '../sdk/aggregate-types.ts'
import type { AnyWorkflow, InputOf, OutputOf } from '../sdk/workflow-types.ts'
import type { QueueingOptions, WorkflowHandle, Workflows } from './workflow-options.ts'

/**
 * Where the database is: its data directory, its socket, or its HTTP address. Of a database on several nodes name as many as
 * are known: the one that leads is found, and found again, by asking them.
 */
export type ConnectOptions = {
  /** Calls under way at once; further ones wait in the client. 1 to 16,384; default 4,096. */
  readonly maxInFlight?: number
  /** How long a call may take, retries and reconnections included, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number
} & (
  | { readonly dataDir: string | readonly string[]; readonly socket?: never; readonly url?: never }
  | { readonly socket: string; readonly dataDir?: never; readonly url?: never }
  | {
      readonly url: string | readonly string[]
      readonly token?: string
      readonly dataDir?: never
      readonly socket?: never
    }
)

export interface ExecuteOptions extends QueueingOptions {
  /** The same key with the same command gives the first outcome; with another command `idempotency_conflict`. 1 to 256 bytes. */
  readonly idempotencyKey?: string
  /**
   * received: durable and queued. completed (default): decided. applied: readers see it. What is put off by `delayMs` for
   * longer than `timeoutMs` can only be waited for until it is received.
   */
  readonly wait?: 'received' | 'completed' | 'applied'
  /**
   * How far what the answer says must have come; the answer says how far it has. Default: flushed.
   *
   * - written: it is in the journal of the node that leads. A crash of its host, or another node that comes to lead, may undo it.
   * - flushed: it is on the disk; of a replicated journal on those of as many journal servers as its policy wants.
   * - replicated: the same, and refused as `policy_unsatisfiable` where that promises nothing: one node keeps the journal alone, or
   *   journal servers share a disk.
   * - applied: and whoever reads on this node sees it, as with `wait: 'applied'`.
   */
  readonly durability?: Durability
  /** Decide only if the aggregate is at this revision; otherwise `revision_mismatch`. */
  readonly expectedRevision?: number
  /** Seen by `decide` and kept with the command. At most 4,096 bytes. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Default: that of the connection. */
  readonly timeoutMs?: number
}

/** What a read has to see at least. */
export interface ReadFreshness {
  /**
   * known: what the node that is asked has, and never less than this client has seen or was told is done, on whichever node.
   * linearizable: everything that any node acknowledged as flushed before the read began; the node that leads is asked whether it
   * still does, and where nobody says so in time the read fails, retryable, as `not_ready` or `timeout`. Default: known.
   */
  readonly consistency?: Consistency
}

export interface ReadOptions extends ReadFreshness {
  /**
   * Read only once the store has applied this entry. Default: whatever the database has answered as flushed to anybody
   * (read your writes, and everybody else's); 0: do not wait.
   */
  readonly minLsn?: number
  /** As it was when this entry was applied. */
  readonly atLsn?: number
}

export interface StreamOptions extends ReadFreshness {
  /** First revision wanted. Default 1. */
  readonly from?: number
  /** Default and most: 10,000. */
  readonly limit?: number
  readonly minLsn?: number
}

export interface ArchiveStreamOptions {
  /** Last revision to be archived. What one command decided on stays together, so it may be less. Default: all. */
  readonly upTo?: number
}

export interface EventsOptions extends ReadFreshness {
  /** Position after which to begin. Default 0: from the first event. */
  readonly after?: number
  /** Only these event types. Default: all. */
  readonly types?: readonly string[]
  /** Ends the reading. */
  readonly signal?: AbortSignal
}

export type { Consistency, Durability } from '../ipc/client-protocol.ts'
export type { CommandView, ProjectionView, QueueView, ScheduleView, StreamView } from '../ipc/client-views.ts'
export type * from './workflow-options.ts'

/** The events that an aggregate's commands can decide on, each with its own data. */
type TypedEvent<A extends AnyAggregate> = {
  readonly [Type in keyof EventsOf<A>]: Omit<ClientEvent, 'type' | 'data'> & {
    readonly type: Type
    readonly data: EventsOf<A>[Type]
  }
}[keyof EventsOf<A>]

export type Outcome<A extends AnyAggregate = AnyAggregate> =
  | (Omit<Extract<ClientOutcome, { outcome: 'completed' }>, 'events'> & { readonly events: readonly TypedEvent<A>[] })
  | Exclude<ClientOutcome, { outcome: 'completed' }>

/** A connection to a database. */
export interface Database extends Workflows {
  /**
   * Executes a command. Resolves with what became of it: a rejection by the application is an outcome, not an error.
   * A call whose outcome is unknown after a lost connection is asked again under the same number; it takes effect once.
   *
   * @throws CommanderError `unknown_aggregate`, `unknown_command`, `schema_violation`, `payload_too_large`,
   * `invalid_input`, `idempotency_conflict`, `revision_mismatch`, `stream_closed`, `stream_deleted`, `overloaded`, `not_ready`, `timeout`
   */
  execute<A extends AnyAggregate, Name extends CommandName<A>>(
    aggregate: A,
    id: string,
    command: Name,
    data: CommandData<A, Name>,
    options?: ExecuteOptions,
  ): Promise<Outcome<A>>
  execute(
    aggregate: string,
    id: string,
    command: string,
    data?: unknown,
    options?: ExecuteOptions,
  ): Promise<ClientOutcome>
  /** The aggregate's state as the store has it, folded by its definition. */
  read<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    options?: ReadOptions,
  ): Promise<{ readonly revision: number; readonly state: StateOf<A> }>
  read(
    aggregate: string,
    id: string,
    options?: ReadOptions,
  ): Promise<{ readonly revision: number; readonly state: unknown }>
  /** One page of an aggregate's events. */
  stream(
    aggregate: AnyAggregate | string,
    id: string,
    options?: StreamOptions,
  ): Promise<{ readonly events: readonly ClientEvent[]; readonly nextRevision: number }>
  /** What has become of a stream: whether it is open, closed or deleted. */
  streamLife(aggregate: AnyAggregate | string, id: string): Promise<StreamView>
  /**
   * The aggregate takes no further command: those received before are still decided, later ones fail with
   * `stream_closed`. Reads go on. For good; closing what is closed is no error.
   * @throws CommanderError `unknown_aggregate`, `not_found`, `stream_deleted`
   */
  closeStream(aggregate: AnyAggregate | string, id: string): Promise<StreamView>
  /**
   * Puts events into the archive and removes them from the store. The aggregate goes on; reads bring the events back.
   * @throws CommanderError `unknown_aggregate`, `not_found`, `stream_deleted`, `invalid_input`, `invalid_config` when the
   * database has no archive, `archive_unavailable`
   */
  archiveStream(aggregate: AnyAggregate | string, id: string, options?: ArchiveStreamOptions): Promise<StreamView>
  /**
   * Closes a stream and removes its events, snapshots and indexes from the store. The other events keep their
   * positions, the numbers of its own are left out. Its id is not used again: commands and reads fail with
   * `stream_deleted`. Idempotency keys go on answering, without the events.
   * @throws CommanderError `unknown_aggregate`, `not_found`, `stream_busy`
   */
  deleteStream(aggregate: AnyAggregate | string, id: string): Promise<StreamView>
  /** All events up to now, in order. A position that is left out belongs to an event that was deleted. */
  events(options?: EventsOptions): AsyncIterable<ClientEvent>
  /** All events, those to come included, until the signal aborts or the loop is left. */
  subscribe(options?: EventsOptions): AsyncIterable<ClientEvent>
  /** As `events`, a list at a time: for reading much. */
  eventBatches(options?: EventsOptions & { readonly follow?: boolean }): AsyncIterable<readonly ClientEvent[]>
  projection(
    name: string,
    key: string,
    options?: ReadFreshness & { readonly minLsn?: number },
  ): Promise<{ readonly version: number; readonly value: unknown }>
  projections(): Promise<readonly ProjectionView[]>
  rebuildProjection(name: string): Promise<void>
  /** All schedules, with the next and the last time of each. */
  schedules(): Promise<readonly ScheduleView[]>
  /** Partitions of queues, those in which most waits first. */
  queues(): Promise<readonly QueueView[]>
  /** A workflow by its definition, whose types it then has, or by its name. */
  workflow<W extends AnyWorkflow>(definition: W): WorkflowHandle<InputOf<W>, OutputOf<W>>
  workflow(name: string): WorkflowHandle<unknown, unknown>
  command(id: string, options?: { readonly waitMs?: number }): Promise<CommandView>
  /** Oldest first. @param after go on after the command with this id, or LSN; default: from the first */
  commands(state: 'parked' | 'pending', limit?: number, after?: number): Promise<readonly CommandView[]>
  retryCommand(id: string): Promise<void>
  skipCommand(id: string, reason?: string): Promise<void>
  /** Calls without an answer fail with `connection_lost`. */
  close(): Promise<void>
}
