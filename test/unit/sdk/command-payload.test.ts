import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { payloadDepthMax, payloadDigest } from '../../../src/sdk/command-payload.ts'

const digest = (data: unknown, command = 'deposit'): string => payloadDigest(command, data).toString('hex')

function reversedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversedKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversedKeys(item)]),
  )
}

describe('payloadDigest', () => {
  it('has 16 bytes and does not change from one release to the next', () => {
    expect(digest({ b: [1, null, 'x'], a: true })).toBe('a5dfaa573c4eedf7bc9811ddfb01a105')
  })

  it('is the same for any JSON value in another order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(digest(reversedKeys(value))).toBe(digest(value))
      }),
    )
  })

  it('is the same after a trip through JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(digest(JSON.parse(JSON.stringify(value)))).toBe(digest(value))
      }),
    )
  })

  it('differs for JSON values that differ', () => {
    const sorted = (value: unknown): string =>
      JSON.stringify(value, (_, item: unknown) =>
        typeof item === 'object' && item !== null && !Array.isArray(item)
          ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
          : item,
      )
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (left, right) => {
        expect(digest(left) === digest(right)).toBe(sorted(left) === sorted(right))
      }),
    )
  })

  const distinct: readonly (readonly [string, unknown, unknown])[] = [
    ['a number and its text', 1, '1'],
    ['null and its text', null, 'null'],
    ['null and a missing key', { a: null }, {}],
    ['null and nothing', null, undefined],
    ['an empty list and an empty object', [], {}],
    ['a list in another order', [1, 2], [2, 1]],
    ['true and 1', true, 1],
    ['a date and its text', new Date(0), new Date(0).toISOString()],
    ['two dates', new Date(0), new Date(1)],
    ['a bigint and a number', 5n, 5],
    ['bytes and a list', new Uint8Array([1, 2]), [1, 2]],
    ['bytes that differ', new Uint8Array([1]), new Uint8Array([2])],
    ['nesting', [[1], 2], [[1, 2]]],
    ['a key that looks like two', { 'a":1,"b': 1 }, { a: 1, b: 1 }],
    ['a map and an object', new Map([['a', 1]]), { a: 1 }],
    ['a set and a list', new Set([1]), [1]],
  ]
  it.each(distinct)('tells apart %s', (_, left, right) => {
    expect(digest(left)).not.toBe(digest(right))
  })

  const same: readonly (readonly [string, unknown, unknown])[] = [
    ['undefined in an object and a missing key', { a: 1, b: undefined }, { a: 1 }],
    ['undefined in a list and null', [undefined], [null]],
    ['0 and -0', 0, -0],
    ['1 and 1.0', 1, 1.0],
    ['a Buffer and a Uint8Array', Buffer.from([1, 2]), new Uint8Array([1, 2])],
    ['a view of a part and a copy of it', new Uint8Array([9, 1, 2]).subarray(1), new Uint8Array([1, 2])],
    [
      'a map in another order',
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
      new Map([
        ['b', 2],
        ['a', 1],
      ]),
    ],
    ['an object with and without a prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  ]
  it.each(same)('does not tell apart %s', (_, left, right) => {
    expect(digest(left)).toBe(digest(right))
  })

  it('tells apart commands, also where names and data run together', () => {
    expect(digest(1, 'deposit')).not.toBe(digest(1, 'withdraw'))
    expect(digest(1, 'a1')).not.toBe(digest(11, 'a'))
  })

  it('refuses what is nested too deep, or refers to itself, instead of overflowing the stack', () => {
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    expect(() => digest(cycle)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
    expect(() => digest(nested(payloadDepthMax + 1))).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    expect(digest(nested(payloadDepthMax))).toHaveLength(32)
  })
})
