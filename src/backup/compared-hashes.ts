import type { Lsn } from '../kernel/identifiers.ts'

/** Whoever folds the entries, and can say the hash of the state at some of them. */
export interface HashSource {
  wantHash(at: Lsn): void
  hashAt(at: Lsn): string | undefined
}

export interface HashDifference {
  readonly lsn: number
  readonly expected: string
  readonly found: string
}

/** Holds a replay to the hashes that were written down while the database ran. */
export class ComparedHashes {
  readonly #source: HashSource
  readonly #expected = new Map<Lsn, string>()

  constructor(source: HashSource) {
    this.#source = source
  }

  /** To be told before the entry is replayed; later it is too late, and not compared. */
  expect(at: Lsn, stateHash: string): void {
    this.#source.wantHash(at)
    this.#expected.set(at, stateHash)
  }

  result(): { readonly compared: number; readonly differing: readonly HashDifference[] } {
    const differing: HashDifference[] = []
    let compared = 0
    for (const [at, expected] of this.#expected) {
      const found = this.#source.hashAt(at)
      if (found === undefined) continue
      compared++
      if (found !== expected) differing.push({ lsn: at, expected, found })
    }
    return { compared, differing }
  }
}
