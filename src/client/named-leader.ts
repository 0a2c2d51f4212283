import { isCommanderError } from '../kernel/errors.ts'

/** What the errors `not_leader` and `indeterminate` say of the node that leads, as far as a client needs it. */
export interface NamedLeader {
  readonly id: string
  readonly url?: string
  /** Where its gateway listens, for clients on the same host. */
  readonly socket?: string
}

/** Who leads, as the error says; null where it does not know, or is another error. */
export function leaderNamedBy(error: unknown): NamedLeader | null {
  if (!isCommanderError(error) || (error.code !== 'not_leader' && error.code !== 'indeterminate')) return null
  const { leader } = (error.details ?? {}) as { readonly leader?: NamedLeader | null }
  return leader ?? null
}
