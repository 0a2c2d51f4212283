import type { ServerResponse } from 'node:http'

/** Counts the requests whose answers have not left, so that a closing server knows when it may cut its connections. */
export class RunningRequests {
  count = 0
  #whenNone: (() => void) | null = null
  readonly #over: () => void

  constructor() {
    this.#over = () => {
      this.count--
      if (this.count === 0) this.#whenNone?.()
    }
  }

  add(response: ServerResponse): void {
    this.count++
    response.once('close', this.#over)
  }

  /** Calls `run` whenever no request is left, and at once if that is so now. */
  whenNone(run: () => void): void {
    this.#whenNone = run
    if (this.count === 0) run()
  }
}
