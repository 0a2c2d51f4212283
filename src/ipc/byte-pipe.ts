/** A reliable, ordered stream of bytes: all that a link needs of a socket or of its in-memory twin. */
export interface BytePipe {
  /** Writes the buffers one after another, in one system call where that is possible. They are not changed later. */
  write(buffers: readonly Buffer[]): void
  /** Ends our direction after what was written. The peer answers by ending its own. */
  end(): void
  /** Ends both directions now; what is under way may be lost. */
  destroy(): void
}
