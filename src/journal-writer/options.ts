/** When written entries are flushed; names and meanings are PostgreSQL's (wal_writer_delay, wal_writer_flush_after, commit_delay). */
export interface FlushOptions {
  /** Entries that nobody waits for are flushed after at most this long. Default 200. */
  readonly writerDelayMs: number
  /** … or as soon as this many bytes are written and not flushed. Default 1 MiB. */
  readonly flushAfterBytes: number
  /** How long a flush that somebody waits for is held back to gather more. Default 0. */
  readonly commitDelayMicros: number
  /** `written`: nobody's wait starts a flush (G1 then holds only against the crash of processes, not of the host). */
  readonly durability: 'flushed' | 'written'
}

export const defaultFlushOptions: FlushOptions = {
  writerDelayMs: 200,
  flushAfterBytes: 1_048_576,
  commitDelayMicros: 0,
  durability: 'flushed',
}
