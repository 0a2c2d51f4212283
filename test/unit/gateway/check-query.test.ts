import { describe, expect, it } from 'vitest'
import { checkQuery } from '../../../src/gateway/check-query.ts'

const codeOf = (input: unknown): string => {
  try {
    checkQuery(input)
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'fine'
}

describe('a question', () => {
  it.each([
    { ask: 'hello' },
    { ask: 'state', aggregate: 'a', id: 'b', atLsn: 5, minLsn: 0 },
    { ask: 'state', aggregate: 'a', id: 'b' },
    { ask: 'stream', aggregate: 'a', id: 'b', from: 1, limit: 10 },
    { ask: 'projection', name: 'n', key: 'k', minLsn: 9 },
    { ask: 'projection', name: 'n', key: 'k', sessionLsn: 9, consistency: 'linearizable' },
    { ask: 'events', after: 0, follow: false, consistency: 'known' },
    { ask: 'projections' },
    { ask: 'rebuild', name: 'n' },
    { ask: 'command', id: '5', waitMs: 0 },
    { ask: 'commands', state: 'parked', limit: 1 },
    { ask: 'retry', id: '5' },
    { ask: 'skip', id: '5', reason: '' },
    { ask: 'workflow', name: 'n', id: '1', minLsn: 0 },
    { ask: 'workflowRecord', name: 'n', id: '1' },
    { ask: 'workflowEnd', name: 'n', id: '1' },
    { ask: 'workflows', name: 'n', status: 'parked', limit: 5, after: '1' },
    { ask: 'events', after: 0, follow: true },
  ])('%o is taken as it is', (query) => {
    expect(checkQuery(query)).toEqual(query)
  })

  it('loses what it sends as nothing and what nobody asked for', () => {
    expect(checkQuery({ ask: 'state', aggregate: 'a', id: 'b', atLsn: null, minLsn: undefined, more: 1 })).toEqual({
      ask: 'state',
      aggregate: 'a',
      id: 'b',
    })
  })

  it.each([null, undefined, 5, 'hello', [], {}, { ask: 5 }, { ask: 'everything' }, { ask: 'toString' }])(
    'is not %o',
    (input) => {
      expect(codeOf(input)).toBe('protocol_violation')
    },
  )

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, '1', [], {}, true])(
    'has whole numbers, and not %o, where it has numbers',
    (value) => {
      expect(codeOf({ ask: 'events', after: value, follow: false })).toBe('invalid_input')
      expect(codeOf({ ask: 'stream', aggregate: 'a', id: 'b', from: value, limit: 1 })).toBe('invalid_input')
      expect(codeOf({ ask: 'stream', aggregate: 'a', id: 'b', from: 1, limit: value })).toBe('invalid_input')
      expect(codeOf({ ask: 'state', aggregate: 'a', id: 'b', atLsn: value })).toBe('invalid_input')
    },
  )

  it('lacks nothing that it must have', () => {
    expect(codeOf({ ask: 'state', aggregate: 'a' })).toBe('invalid_input')
    expect(codeOf({ ask: 'events', after: 1 })).toBe('invalid_input')
    expect(codeOf({ ask: 'commands', limit: 1 })).toBe('invalid_input')
    expect(codeOf({ ask: 'workflows', name: 'n', limit: 1, status: 'none' })).toBe('invalid_input')
    expect(codeOf({ ask: 'workflowEnd', name: 'n' })).toBe('invalid_input')
  })
})
