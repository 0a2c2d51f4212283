import type { Terminal } from './terminal.ts'

/**
 * What a verb does, given its arguments in their order, an optional one that is not there as `undefined`, then the flags.
 * Each has parameters of its own, which its definition's `arguments` must match.
 */
export type Verb = (terminal: Terminal, ...rest: never[]) => Promise<number>

export interface FlagDefinition {
  readonly flag: string
  readonly help: string
  readonly choices?: readonly string[]
  /** May be given several times: a list of the values. */
  readonly isRepeatable?: boolean
  /** Taken, but not shown: what another flag was called before. */
  readonly isHidden?: boolean
}

/** One verb of the command line. What it does is in a file of its own, loaded when it is used. */
export interface VerbDefinition {
  /** For example `projection get`. */
  readonly path: string
  readonly help: string
  readonly arguments?: readonly (readonly [name: string, help: string])[]
  readonly flags: readonly FlagDefinition[]
  readonly load: () => Promise<Verb>
}
