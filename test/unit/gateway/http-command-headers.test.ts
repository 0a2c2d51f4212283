import { describe, expect, it } from 'vitest'
import { expectedRevisionOf, idempotencyKeyOf, preferencesOf } from '../../../src/gateway/http-command-headers.ts'

describe('preferencesOf', () => {
  const nothing = { respondAsync: false, waitMs: null, durability: null, isReplicated: false, isMinimal: false }

  it.each([
    [undefined, {}],
    ['', {}],
    ['respond-async', { respondAsync: true }],
    ['Respond-Async', { respondAsync: true }],
    ['wait=10', { waitMs: 10_000 }],
    ['wait="10"', { waitMs: 10_000 }],
    ['wait = 10', { waitMs: 10_000 }],
    ['wait=0', { waitMs: 0 }],
    ['wait=86400', { waitMs: 60_000 }],
    ['wait=-1', {}],
    ['wait=soon', {}],
    ['wait=1.5', {}],
    ['wait', {}],
    ['wait=1, wait=2', { waitMs: 1000 }],
    ['respond-async, wait=5', { respondAsync: true, waitMs: 5000 }],
    ['return=minimal;x="y", durability=written', { durability: 'written', isMinimal: true }],
    ['return=representation', {}],
    ['durability=applied', { durability: 'applied' }],
    ['durability=replicated', { durability: 'replicated', isReplicated: true }],
    ['durability=applied, replicated', { durability: 'applied', isReplicated: true }],
    ['durability=flushed, durability=written', { durability: 'flushed' }],
    ['respond-async;foo=bar', { respondAsync: true }],
  ])('reads %j', (header, expected) => {
    expect(preferencesOf(header)).toEqual({ ...nothing, ...expected })
  })

  it.each(['durability=eventually', 'durability', 'durability=', 'respond-async, durability="Flushed"'])(
    'does not take less for a durability that there is not: %j',
    (header) => {
      expect(() => preferencesOf(header)).toThrow(/asks for the durability ".*", but there are written, flushed, repl/)
    },
  )
})

describe('idempotencyKeyOf', () => {
  it.each([
    [undefined, null],
    ['abc', 'abc'],
    [' abc ', 'abc'],
    ['"abc"', 'abc'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['a b', 'a b'],
    [Buffer.from('schlüssel').toString('latin1'), 'schlüssel'],
  ])('reads %j', (header, expected) => {
    expect(idempotencyKeyOf(header)).toBe(expected)
  })

  it.each(['', '""', '  ', 'x'.repeat(257), 'schl\u00fcssel'])('refuses %j', (header) => {
    expect(() => idempotencyKeyOf(header)).toThrow('Idempotency-Key')
  })
})

describe('expectedRevisionOf', () => {
  it.each([
    [undefined, null],
    ['"0"', 0],
    ['"12"', 12],
    ['12', 12],
    [' "12" ', 12],
  ])('reads %j', (header, expected) => {
    expect(expectedRevisionOf(header)).toBe(expected)
  })

  it.each(['', '*', 'W/"1"', '"1","2"', '-1', '1e3', '9999999999999999', '"1'])('refuses %j', (header) => {
    expect(() => expectedRevisionOf(header)).toThrow('If-Match')
  })
})
