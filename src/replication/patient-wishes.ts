import type { LeaderShell } from './leader-shell.ts'
import type { Wish } from './leader-state.ts'

export interface PatientWishesOptions {
  /** Resolves when the metadata store has answered, whatever it says. */
  readonly ask: () => Promise<unknown>
  /** null: this node does not lead. */
  readonly leader: () => Pick<LeaderShell, 'isChangingRecord' | 'wish'> | null
}

/**
 * Changes of the record that nobody waits for. Nothing is committed while a change of the record waits for the metadata store (I8), so
 * they are begun once that has just answered, and not by what was heard of it last.
 */
export class PatientWishes {
  readonly #o: PatientWishesOptions
  #isAsking = false

  constructor(options: PatientWishesOptions) {
    this.#o = options
  }

  /** @param due - what is wanted by then; null for nothing. What is not begun is to be asked for again */
  async begin(due: () => Wish | null): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    const isAnswered = await this.#o.ask().then(
      () => true,
      () => false,
    )
    this.#isAsking = false
    const leader = this.#o.leader()
    const wish = !isAnswered || leader === null || leader.isChangingRecord ? null : due()
    if (wish !== null) leader?.wish(wish)
  }
}
