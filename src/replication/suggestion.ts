import { isCommanderError } from '../kernel/errors.ts'
import { epoch } from '../kernel/identifiers.ts'
import type { Suggestion } from './master-state.ts'
import { checkPolicy } from './replication-policy.ts'

/** What a suggestion says where it says nothing. */
export const nothingSuggested: Omit<Suggestion, 'epoch'> = {
  leader: null,
  group: null,
  policy: null,
  seal: false,
  by: 'master',
}

export const encodeSuggestion = (suggestion: Suggestion): string => JSON.stringify(suggestion)

/** @returns null for anything that is no suggestion: nobody has to follow one. */
export function decodeSuggestion(text: string): Suggestion | null {
  try {
    const { epoch: ofEpoch, ...rest } = JSON.parse(text) as Partial<Suggestion>
    const { leader, group, policy, seal, by } = { ...nothingSuggested, ...rest }
    const isGroup = group === null || (Array.isArray(group) && group.every((id) => typeof id === 'string'))
    const isWhole = isGroup && typeof seal === 'boolean' && (by === 'master' || by === 'operator')
    if (!Number.isSafeInteger(ofEpoch) || !(leader === null || typeof leader === 'string') || !isWhole) return null
    const checked = policy === null ? null : checkPolicy(policy)
    return { epoch: epoch(ofEpoch as number), leader, group, policy: checked, seal, by }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || isCommanderError(error)) return null
    throw error
  }
}
