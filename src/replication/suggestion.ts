import { epoch } from '../kernel/identifiers.ts'
import type { Suggestion } from './master-state.ts'

export const encodeSuggestion = (suggestion: Suggestion): string => JSON.stringify(suggestion)

/** @returns null for anything that is no suggestion: nobody has to follow one. */
export function decodeSuggestion(text: string): Suggestion | null {
  try {
    const { epoch: ofEpoch, leader, group } = JSON.parse(text) as Partial<Suggestion>
    const isGroup = group === null || (Array.isArray(group) && group.every((id) => typeof id === 'string'))
    if (!Number.isSafeInteger(ofEpoch) || !(leader === null || typeof leader === 'string') || !isGroup) return null
    return { epoch: epoch(ofEpoch as number), leader, group }
  } catch {
    return null
  }
}
