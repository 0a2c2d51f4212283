import type { Transport } from '../ipc/channel.ts'
import type { ReadPointIs, Refused, Switched, Watermark } from '../ipc/journal-protocol.ts'
import type { Leadership } from '../ipc/leadership.ts'
import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { RootState } from '../state/root.ts'
import type { SegmentSource } from './segment-source.ts'

/** What a role does with the stream. */
export interface FollowerRole {
  /** One batch of entries, `payload` from `offset` to its end, LSNs `firstLsn` to `lastLsn` without a gap. */
  apply(payload: Buffer, offset: number, firstLsn: Lsn, lastLsn: Lsn): void
  /** False while the role has enough to do: batches then wait, unreleased, until `resume`. Default: always true. */
  accepts?(): boolean
  /** Compared with that of the other processes, where there is one (G7). */
  readonly state?: RootState
  /**
   * For a role that does not reduce a batch as soon as it gets it: say the hash of the state after `at`, the last entry
   * of the batch that `apply` was just handed, by `Follower.sendAttested`, once that batch is reduced.
   */
  attest?(at: Lsn): void
  /** Called after one or more batches: the place to send what they led to. */
  applied?(): void
  watermark?(mark: Watermark): void
  /** One of this process's drafts was refused. */
  refused?(refused: Refused): void
  /** The answer to `callRoll`: names of those who follow and are alive. */
  present?(names: readonly string[]): void
  /** The answer to `switchSegment`. */
  switched?(switched: Switched): void
  /**
   * The connection to the journal writer is new, and everything up to its `written` has been applied: drafts of this
   * process that have not been seen by now never will be.
   */
  connected?(): void
  /**
   * The same to a journal writer that does not lead: it takes no drafts, and `connected` comes if and when it leads. Again
   * when it says that another node leads.
   */
  following?(leadership: Leadership): void
  disconnected?(): void
  /** The answer to `askReadPoint`. */
  readPoint?(answer: ReadPointIs): void
  /** The journal is replicated. @param refusal why nobody can be promised so; null: it can be promised */
  replicates?(refusal: CommanderError | null): void
  /**
   * It drafts anew what was refused: so it may send nothing (`isWritable`) while the journal has no room, and hears by
   * `writable` when to go on. Default: false.
   */
  readonly waitsForRoom?: boolean
  /** Drafts can be sent again: the journal writer had taken none for a while. */
  writable?(): void
  /** The state is not of this journal (R9): it must be thrown away; the process ends or starts anew from the store. */
  reset(reason: CommanderError): void
}

export interface FollowerOptions {
  readonly environment: Environment
  readonly transport: Transport
  /** Address of the journal writer. */
  readonly address: string
  readonly name: string
  readonly origin: number
  readonly ordered: boolean
  readonly followsFlush: boolean
  readonly segments: SegmentSource
  readonly role: FollowerRole
  /** The last entry that the role's state holds already. */
  readonly after: Lsn
}
