/** One command in the log. */
export interface LogEntry {
  readonly lsn: number
  /** Of the command: no two that clients send have the same. */
  readonly id: string
  /** The aggregate whose stream it is in. */
  readonly key: string
  readonly bytes: string
}

/** What a client knows of a command that it sent. */
export type AppendOutcome =
  | { readonly kind: 'ok'; readonly lsn: number }
  /** Certainly nothing was appended, nor will be. */
  | { readonly kind: 'not' }
  /** It may be there, or come later, or never. */
  | { readonly kind: 'unknown' }

/** A command of a client. Times are of one monotonic clock for all clients, in milliseconds. */
export interface Append extends Omit<LogEntry, 'lsn'> {
  readonly startMs: number
  readonly endMs: number
  readonly outcome: AppendOutcome
}

/**
 * `known`: as far as the node that was asked knows; monotone for each session. `linearizable`: with all that was acknowledged before
 * it began.
 */
export type ReadMode = 'known' | 'linearizable'

/** What a client was answered that asked for the stream of one aggregate. */
export interface Read {
  /** Reads of one session follow each other. */
  readonly session: string
  readonly mode: ReadMode
  readonly key: string
  readonly startMs: number
  readonly endMs: number
  /** Number of the first entry that was asked for; the first of a stream has 1. */
  readonly from: number
  /** All from there on. */
  readonly entries: readonly LogEntry[]
}

/** All that clients did and were told. */
export interface History {
  readonly appends: readonly Append[]
  readonly reads: readonly Read[]
}
