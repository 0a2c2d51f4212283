import { CommanderError } from '../kernel/errors.ts'

/**
 * The small values that everybody must agree on: epoch, leader and segment map of each stream, who belongs to the cluster. Agreement
 * itself runs elsewhere (etcd; a file, among the processes of one host); what is asked of it is one compare-and-swap.
 *
 * M1 Every decision is a compare-and-swap on the revision. Leases and watches are hints: they may be late. `get` and `list` show what
 *    was there at some time during the call (the store in memory can be told to show less).
 * M2 A revision is never used twice, not even of a key that was deleted in between.
 * M3 A value that anybody was shown survives kill -9 and the loss of power.
 * M4 A call that failed with `metadata_unavailable` may have happened, unless its details say `outcome: 'none'`.
 *
 * Errors: `metadata_unavailable` (retryable, unless only a person can mend it); `not_found` (the lease is over; nothing happened); `invalid_input` (key or value too long).
 */
export interface MetadataStore {
  /** For people: `file:…`, `etcd://…`. */
  readonly location: string
  get(key: string): Promise<MetadataValue | null>
  /** Values whose keys begin with `prefix`, sorted by key. */
  list(prefix: string): Promise<readonly MetadataValue[]>
  /**
   * @param expectedRevision - 0: only where the key is absent
   * @param value - `null` deletes
   */
  compareAndSwap(
    key: string,
    expectedRevision: number,
    value: string | null,
    options?: SwapOptions,
  ): Promise<SwapResult>
  /** Goes on by itself whatever happens, until it is closed. */
  watch(prefix: string, handlers: WatchHandlers): MetadataWatch
  /** @param ttlMs - the store may round it up */
  lease(ttlMs: number): Promise<Lease>
  /** What is under way fails with `metadata_unavailable`; watches end without a word. Leases end when their time is over. */
  close(): Promise<void>
}

export interface MetadataValue {
  readonly key: string
  readonly value: string
  /** Greater than those of all changes before it, of any key. */
  readonly revision: number
}

export interface SwapOptions {
  /** The value goes when the lease ends. */
  readonly lease?: Lease
}

export type SwapResult =
  | { readonly swapped: true; readonly revision: number }
  | { readonly swapped: false; readonly current: MetadataValue | null }

export interface MetadataChange {
  readonly key: string
  /** `null`: it was deleted. */
  readonly value: MetadataValue | null
}

export interface WatchHandlers {
  /**
   * First all that is there, be it nothing, and after `lost` what has changed meanwhile, be it nothing; in between what changes.
   * Of changes to one key in quick succession the last alone may be told; never an older one after a newer one.
   */
  values(changed: readonly MetadataChange[]): void
  /** What is known may be out of date from now on, until `values` is called again. Told once. */
  lost(error: CommanderError): void
}

export interface MetadataWatch {
  /** Idempotent; no handler is called any more. */
  close(): void
}

/** A hint that its holder lives: nothing may be decided by it alone. Each side judges it by its own monotonic clock. */
export interface Lease {
  readonly id: string
  /** @returns for how long it can be relied on, by the own monotonic clock, less a margin. 0: it is over, or cannot be relied on any more. */
  keepAlive(): Promise<number>
  /** Idempotent. What is bound to it goes at once. */
  revoke(): Promise<void>
}

/** Names of what the cluster keeps. */
export const metadataKeys = {
  /** The cluster's id. */
  cluster: 'cluster',
  /** Epoch, leader and segment map of a stream. */
  stream: (name: string): string => `streams/${name}`,
  streams: 'streams/',
  /** The epoch that a deleted stream had: one of the same name goes on from there. */
  deletedStream: (name: string): string => `deleted-streams/${name}`,
  /** Registered identity of a journal server. */
  server: (id: string): string => `servers/${id}`,
  servers: 'servers/',
  /** Of an identity that was taken out of the cluster: it does not come back. */
  deregistered: (identity: string): string => `deregistered/${identity}`,
  /** A node of the database that may lead; bound to its lease. */
  node: (id: string): string => `nodes/${id}`,
  nodes: 'nodes/',
  /** That the leader of a stream lives; bound to its lease. */
  lease: (stream: string): string => `leases/${stream}`,
  leases: 'leases/',
  /** What the master suggests to the leader of a stream. */
  suggestion: (stream: string): string => `suggestions/${stream}`,
  suggestions: 'suggestions/',
  /** Why the leader of a stream does not do it. */
  refusal: (stream: string): string => `refusals/${stream}`,
  /** Which of the masters is at work; bound to its lease. */
  master: 'master',
} as const

/** The part of a lease that is not relied on, for clocks that run at different speeds: a tenth. */
export const leaseMarginOf = (ttlMs: number): number => ttlMs / 10

/** `none`: it certainly did not happen. `unknown`: it may have happened, or may still. */
export type SwapOutcome = 'none' | 'unknown'

export function metadataUnavailable(
  location: string,
  operation: string,
  reason: string,
  outcome: SwapOutcome,
  { cause, isFinal = false }: { readonly cause?: unknown; readonly isFinal?: boolean } = {},
): CommanderError {
  const message = `cannot ${operation} in the metadata store ${location}: ${reason}`
  return new CommanderError('metadata_unavailable', message, {
    details: { location, operation, outcome },
    ...(isFinal ? { retryable: false } : {}),
    ...(cause === undefined ? {} : { cause }),
  })
}

export const metadataClosed = (location: string, operation: string): CommanderError =>
  metadataUnavailable(location, operation, 'it was closed meanwhile', 'unknown', { isFinal: true })

export const leaseIsOver = (id: string): CommanderError =>
  new CommanderError('not_found', `the lease ${id} is over; nothing was changed, take another lease`)

/** Whether a failed compare-and-swap may have happened all the same (M4). */
export const mayHaveHappened = (error: CommanderError): boolean =>
  error.code === 'metadata_unavailable' && (error.details as { outcome?: unknown } | undefined)?.outcome !== 'none'
