/** A mistake that somebody could make in one file of src/, and the tests of the suite that must fail because of it. */
export interface Mutant {
  /** What the program does wrongly then. */
  readonly name: string
  /** The guarantee (ARCHITECTURE.md), the rule of recovery (JOURNAL_FORMAT.md) or the fault that it lets through. */
  readonly attacks: string
  readonly file: string
  /** Stands in the file exactly once. Text that has moved on makes the gate fail: a mutant that is not put in finds nothing. */
  readonly text: string
  readonly replacement: string
  /** Each of them must fail, by an assertion of its own. */
  readonly foundBy: readonly Finder[]
}

export interface Finder {
  readonly file: string
  /** Its full name: the names of the groups around it, then its own. */
  readonly test: string
}

export const by = (file: string, test: string): Finder => ({ file, test })

/** @throws Error when the text does not stand in the source exactly once */
export function mutated(source: string, { name, file, text, replacement }: Mutant): string {
  const parts = source.split(text)
  if (parts.length !== 2) {
    throw new Error(
      `mutant "${name}": its text stands in ${file} ${parts.length - 1} times, not once; bring test/mutants/ up to date:\n${text}`,
    )
  }
  return parts.join(replacement)
}
