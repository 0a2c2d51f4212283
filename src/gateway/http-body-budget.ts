/** Memory for bodies that are being received, all connections together (G10): what is received has its own bounds. */
export class BodyBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** @returns how to give it back, which may be called more than once; null when there is no room */
  take(bytes: number): (() => void) | null {
    if (this.#bytes + bytes > this.#bytesMax) return null
    this.#bytes += bytes
    let left = bytes
    return () => {
      this.#bytes -= left
      left = 0
    }
  }
}
