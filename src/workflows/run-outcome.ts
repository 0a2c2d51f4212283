import type { Failure } from './failure.ts'

/** How the code of a run ended. */
export type RunOutcome =
  | { readonly kind: 'completed'; readonly result: unknown }
  | { readonly kind: 'failed' | 'cancelled'; readonly error: Failure }
  | { readonly kind: 'continued'; readonly input: unknown }
  /** It threw what it must not throw, or does not match its history: a person must look. */
  | { readonly kind: 'broken'; readonly error: Failure; readonly operation: string | null }
