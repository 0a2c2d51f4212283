/** What a value may be. Text from a flag or a variable is read as the kind says. */
export type ValueKind =
  | {
      readonly type: 'integer'
      readonly min: number
      readonly max: number
      readonly multipleOf?: number
      readonly orFalse?: true
    }
  | { readonly type: 'number'; readonly min: number; readonly max: number }
  | { readonly type: 'boolean' }
  | {
      readonly type: 'text'
      readonly pattern?: RegExp
      readonly expected?: string
      readonly isSecret?: true
      /** Where the text begins with this, a path follows. */
      readonly pathAfter?: string
    }
  | { readonly type: 'path' }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | { readonly type: 'choices'; readonly choices: readonly string[] }
  | { readonly type: 'integers'; readonly min: number; readonly max: number }
  | { readonly type: 'texts' }
  | { readonly type: 'record' }
  | ListKind

export const integer = (min: number, max: number): ValueKind => ({ type: 'integer', min, max })

/** A list of objects, given whole. As text: JSON, or, with `shorthand`, that one key of each item, separated by commas. */
export interface ListKind {
  readonly type: 'list'
  readonly items: readonly ItemKey[]
  readonly shorthand?: string
}

/** A key of the objects in a list. */
export interface ItemKey {
  readonly path: string
  readonly kind: ValueKind
  /** Absent: nothing is set unless someone sets it. */
  readonly default?: unknown
  readonly required?: true
  readonly unit?: string
  readonly help: string
}

/** One leaf of the config. The table of them drives checking, merging, `commanderdb config` and the flags of the command line. */
export interface ConfigKey extends Omit<ItemKey, 'required'> {
  readonly variable: string
  readonly flag?: string
}

/** The name under which a command-line parser hands over a flag: `--http-port` is `httpPort`. */
export function attributeOf(flag: string): string {
  return flag.slice(2).replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
