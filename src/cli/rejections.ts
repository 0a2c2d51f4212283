import type { ClientOutcome } from '../ipc/call-codec.ts'
import type { ImportCommand } from '../sdk/import-map.ts'

/** One row that the application said no to. */
export interface Rejection {
  readonly line: number
  readonly aggregate: string
  readonly id: string
  readonly command: string
  readonly code: string
  readonly message: string
}

/** A file may have millions of rows, and codes are the application's own. */
const firstMax = 5
const codesMax = 20

/** Of the rows of an import that were rejected: how many for which reason, and the first few in the order of the file. */
export class Rejections {
  readonly #byCode = new Map<string, number>()
  readonly #first: Rejection[] = []
  #count = 0
  #earlier = 0

  /** An outcome of an earlier run counts as well: whoever runs an import again must hear of it. */
  note({ aggregate, id, command }: ImportCommand, line: number, outcome: ClientOutcome): void {
    if (outcome.outcome !== 'rejected') return
    const { code, message, duplicate } = outcome
    this.#count++
    if (duplicate) this.#earlier++
    const name = this.#byCode.has(code) || this.#byCode.size < codesMax ? code : 'others'
    this.#byCode.set(name, (this.#byCode.get(name) ?? 0) + 1)
    // Rows end in another order than that of the file.
    this.#first.push({ line, aggregate, id, command, code, message })
    this.#first.sort((a, b) => a.line - b.line)
    if (this.#first.length > firstMax) this.#first.pop()
  }

  get count(): number {
    return this.#count
  }

  get byCode(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#byCode)
  }

  get first(): readonly Rejection[] {
    return this.#first
  }

  /** For example `3 commands were rejected (1 of them in an earlier run): too_little 2, closed 1`. */
  get summary(): string {
    const counts = [...this.#byCode].map(([code, count]) => `${code} ${count}`).join(', ')
    const earlier = this.#earlier === 0 ? '' : ` (${this.#earlier} of them in an earlier run)`
    return `${this.#count} ${this.#count === 1 ? 'command was' : 'commands were'} rejected${earlier}: ${counts}`
  }
}
