/** Nothing was heard for so long although somebody waits: the other side is asked whether it is there. */
const quietDefaultMs = 2000
/** It does not even say that it is. */
const silentMs = 2000

/** Whether the other side of a connection is there: a process that stands still keeps its connections. */
export class Liveness {
  #heardMs: number
  #askedMs: number | null = null

  constructor(nowMs: number) {
    this.#heardMs = nowMs
  }

  /** It said something, or is another one. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs
    this.#askedMs = null
  }

  /** @returns `ask` once before it is `gone` */
  check(nowMs: number, isAnyoneWaiting: boolean, quietMs: number = quietDefaultMs): 'there' | 'ask' | 'gone' {
    if (this.#askedMs !== null) return nowMs - this.#askedMs >= silentMs ? 'gone' : 'there'
    if (!isAnyoneWaiting) this.#heardMs = nowMs
    if (nowMs - this.#heardMs < quietMs) return 'there'
    this.#askedMs = nowMs
    return 'ask'
  }
}
