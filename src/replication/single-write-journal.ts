import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import type { ReplicatedBatch } from './batch.ts'
import type { RoleState } from './role-state.ts'

/**
 * A journal of streams, each with one writer at a time and any number of readers, after Engula's `SingleWriteJournal`
 * (https://github.com/engula/engula/pull/280). Which node writes a stream is agreed on in the metadata store; every
 * method may be called on every node, and says `not_leader` where that one does not lead.
 */
export interface SingleWriteJournal extends Journal {
  state(stream: string): RoleState
  /** The present state first, then each change. Ends with the journal. */
  observeState(stream: string): AsyncIterable<RoleState>
  /** From now on this node wants to lead; whether and when it does, `observeState` says. */
  campaign(stream: string): Promise<void>
  /** Lets another node lead: what was appended is committed first, where that is possible. */
  resign(stream: string): Promise<void>
}

export interface Journal {
  /** @throws CommanderError `already_exists`, `metadata_unavailable`, `policy_unsatisfiable` */
  createStream(stream: string): Promise<void>
  /**
   * For good; one that is made under the same name later is another stream, with greater epochs. A leader elsewhere hears of it soon: what it
   * acknowledges until then is gone too.
   * @throws CommanderError `not_found`, `metadata_unavailable`
   */
  deleteStream(stream: string): Promise<void>
  listStreams(): Promise<readonly string[]>
  openStreamReader(stream: string): Promise<StreamReader>
  /** On every node; on one that does not lead its appends fail. */
  openStreamWriter(stream: string): Promise<StreamWriter>
}

export interface AppendOptions {
  /** When the promise resolves: once a later leader must have the entries, or once they are under way. Default `committed`. */
  readonly ack?: 'committed' | 'written'
  /** Append only if the first entry gets this LSN. */
  readonly expectLsn?: Lsn
}

export interface Appended {
  readonly first: Lsn
  readonly last: Lsn
  readonly epoch: Epoch
}

export interface StreamWriter {
  /**
   * One batch: all of the entries, or none.
   *
   * @throws CommanderError `not_leader` (certainly not appended), `indeterminate` (may or may not be in the log: this node was
   * deposed, or nobody answered), `invalid_input` (`expectLsn` is not the next one), `payload_too_large`, `not_found` (the stream was deleted)
   */
  append(entries: readonly Buffer[], options?: AppendOptions): Promise<Appended>
  /** Everything below may go, once it is archived where there is an archive. @throws CommanderError `not_leader`, `metadata_unavailable` */
  trim(before: Lsn): Promise<void>
  /** Seals the segment and goes on in a new one, under the next epoch. @throws CommanderError `not_leader`, `metadata_unavailable` */
  roll(): Promise<void>
  close(): Promise<void>
}

export interface ReadOptions {
  /** The last entry that is wanted. Default: without end. */
  readonly until?: Lsn
  /** At the end wait for more instead of ending. Default false. */
  readonly wait?: boolean
  readonly signal?: AbortSignal
}

export interface StreamReader {
  /**
   * Whole batches in order, from the one that holds `from` on; committed ones only. What a writer put into one is `entriesOf` it
   * (stream-entries.ts). Without `wait` it ends at the tail that is known when it begins; with a signal that is aborted, at once.
   *
   * @throws CommanderError `log_trimmed`, `journal_corrupt`, `not_found` (the stream was deleted)
   */
  read(from: Lsn, options?: ReadOptions): AsyncIterable<ReplicatedBatch>
  /**
   * The last committed entry. `known`: as far as this node has heard; never less than before. `linearizable`: at least
   * everything that was acknowledged to anybody before the call; the leader asks its servers for it. What was read or told before is known.
   *
   * @throws CommanderError `not_leader`: nobody is known to lead, or who does cannot be reached
   */
  tail(mode: 'known' | 'linearizable'): Promise<Lsn>
  close(): Promise<void>
}
