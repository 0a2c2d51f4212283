import type { AggregateReference } from './action.ts'

/** `type/id`: types hold no slash, so the first one parts the two. */
export const aggregateKey = (type: string, id: string): string => `${type}/${id}`

export function parseAggregateKey(key: string): AggregateReference {
  const slash = key.indexOf('/')
  return { type: key.slice(0, slash), id: key.slice(slash + 1) }
}

export const aggregateTypeOf = (key: string): string => key.slice(0, key.indexOf('/'))
