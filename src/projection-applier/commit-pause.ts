const pauseMsMin = 5
const pauseBytesPerMs = 4096
/** Of what a transaction took: nothing is taken from the journal writer meanwhile, and its socket holds little. */
const breathShare = 0.25

/**
 * When the next transaction may begin.
 *
 * - From one beginning to the next in proportion to what the transaction holds: its two flushes cost the same for one entry and
 *   for thousands.
 * - From its end at least a moment, in which what came meanwhile is taken in: else the next one holds no more than a socket does,
 *   at the same two flushes, and whoever waits for what is behind that waits for both.
 */
export class CommitPause {
  /** null: the transaction took nothing in, and nobody waits for what is behind it. */
  #beganMs: number | null = null
  #nextMs = 0

  /** @param mostMs - the longest from one beginning to the next */
  begin(nowMs: number, batches: readonly { readonly payload: Buffer }[], mostMs: number): void {
    let bytes = 0
    for (const { payload } of batches) bytes += payload.length
    this.#beganMs = bytes > 0 ? nowMs : null
    this.#nextMs = nowMs + Math.min(mostMs, pauseMsMin + bytes / pauseBytesPerMs)
  }

  end(nowMs: number): void {
    if (this.#beganMs === null) return
    const breathMs = Math.min(pauseMsMin, (nowMs - this.#beganMs) * breathShare)
    this.#nextMs = Math.max(this.#nextMs, nowMs + breathMs)
  }

  leftMs(nowMs: number): number {
    return this.#nextMs - nowMs
  }
}
