/**
 * How far a client has seen the database, on whichever node: of several nodes one may be behind another, and what was seen once
 * is not to be unseen by a later read.
 */
export class ReadSession {
  #seenLsn = 0
  /** Of one node every store only goes on: nothing has to be said. */
  readonly #isSeveral: () => boolean

  constructor(isSeveral: () => boolean) {
    this.#isSeveral = isSeveral
  }

  /** What was flushed: everything else may be lost, and would then be waited for in vain. */
  saw(lsn: number): void {
    if (lsn > this.#seenLsn) this.#seenLsn = lsn
  }

  /** What a read asks for beside what its caller wants. Who wants no wait (`minLsn: 0`) gets none. */
  floorOf({ minLsn }: { readonly minLsn?: number | undefined }): { readonly sessionLsn?: number } {
    return this.#seenLsn === 0 || minLsn === 0 || !this.#isSeveral() ? {} : { sessionLsn: this.#seenLsn }
  }
}
