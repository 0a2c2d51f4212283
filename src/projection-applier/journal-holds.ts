import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** Backups that are under way: the journal keeps what they still have to copy, so the checkpoint is said to be no further. */
export class JournalHolds {
  readonly #held = new Set<{ readonly at: Lsn }>()

  /** Everything behind this entry stays until the function that is returned is called. */
  hold(at: Lsn): () => void {
    const held = { at }
    this.#held.add(held)
    return () => {
      this.#held.delete(held)
    }
  }

  /** What may be said of a checkpoint. */
  bound(checkpoint: Lsn): Lsn {
    let lowest: number = checkpoint
    for (const { at } of this.#held) lowest = Math.min(lowest, at)
    return lsn(lowest)
  }
}
