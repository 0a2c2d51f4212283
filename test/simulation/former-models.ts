import type { Model } from './model.ts'

export interface FormerModel {
  readonly model: Model
  /** The last entry that it has in common with what came after. */
  readonly endLsn: number
  readonly atMs: number
}

type Violate = (what: string) => void

/**
 * What the journal meant before entries of it were lost. What somebody was told of a lost entry must have been true then;
 * of everything else only the journal as it is counts.
 */
export class FormerModels {
  readonly #formers: FormerModel[] = []
  readonly #violate: Violate

  constructor(violate: Violate) {
    this.#violate = violate
  }

  add(former: FormerModel): void {
    for (const what of former.model.violations)
      this.#violate(`before entries behind ${former.endLsn} were lost: ${what}`)
    this.#formers.push(former)
  }

  /** @param mayConcern whether it may be about what was lost then */
  check(
    model: Model,
    mayConcern: (former: FormerModel) => boolean,
    check: (model: Model, violate: Violate) => void,
  ): void {
    const found = violationsOf(model, check)
    if (found.length === 0) return
    const wasTrue = this.#formers.some((former) => mayConcern(former) && violationsOf(former.model, check).length === 0)
    if (!wasTrue) for (const what of found) this.#violate(what)
  }
}

function violationsOf(model: Model, check: (model: Model, violate: Violate) => void): string[] {
  const found: string[] = []
  check(model, (what) => found.push(what))
  return found
}
