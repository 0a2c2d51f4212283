import type { OperationNameKind } from './operation.ts'

/** Names operations by how often their names were used before: the second request "charge" is `request/charge#2`. */
export class OperationNames {
  readonly #occurrences = new Map<string, number>()

  next(kind: OperationNameKind, name: string): string {
    const stem = `${kind}/${name}`
    const occurrence = (this.#occurrences.get(stem) ?? 0) + 1
    this.#occurrences.set(stem, occurrence)
    return `${stem}#${occurrence}`
  }
}
