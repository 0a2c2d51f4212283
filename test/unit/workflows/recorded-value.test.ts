import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../../src/actions/message-pack.ts'
import { handedOut, recordedOrThrow, recordedValue } from '../../../src/workflows/recorded-value.ts'

class Money {
  cents = 1
}

const recorded = (value: unknown): unknown => recordedOrThrow(value, () => 'it')
const problemOf = (value: unknown): string => {
  const found = recordedValue(value)
  return 'problem' in found ? found.problem : 'none'
}

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = { a: value }
  return value
}

const leaf = fc.oneof(
  fc.constantFrom(null, undefined, -0, Number.NaN, Number.POSITIVE_INFINITY),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.string({ unit: 'binary' }),
  fc.constant('\ud800 half of a pair'),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array(),
)
const key = fc.string({ unit: 'binary' }).filter((text) => text !== '__proto__')
const anyValue = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value')), fc.dictionary(key, tie('value'))),
})).value

describe('what is recorded of a value', () => {
  it('is what a replay hands out, whatever it is', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const copy = recorded(value)
        const bytes = Buffer.from(pack(copy))
        expect(handedOut(unpack(bytes, 0, bytes.length))).toStrictEqual(copy)
        expect(handedOut(copy)).toStrictEqual(copy)
      }),
      { examples: [[{ a: undefined, b: [undefined] }], [Object.assign(Object.create(null), { a: 1 })]] },
    )
  })

  it('has bytes as a Uint8Array, dates as dates, and no properties that are undefined', () => {
    const value = { at: new Date(5), bytes: new Uint8Array([1, 2]), list: [undefined], missing: undefined }
    expect(recorded(value)).toStrictEqual({ at: new Date(5), bytes: new Uint8Array([1, 2]), list: [null] })
    expect(recorded(undefined)).toBe(null)
  })

  it('is a copy: later changes of the value do not count', () => {
    const value = { list: [1], bytes: new Uint8Array([1]) }
    const copy = recorded(value)
    value.list.push(2)
    value.bytes[0] = 9
    expect(copy).toEqual({ list: [1], bytes: new Uint8Array([1]) })
  })

  it.each([
    [new Map(), /^is a Map, which cannot be recorded; make an object of it/],
    [
      { order: { tags: [1, new Set()] } },
      /^has a Set at order\.tags\[1\], which cannot be recorded; make a list of it/,
    ],
    [[new Money()], /^has a Money at \[0\], .*plain object/],
    [{ 'the id': 1n }, /^has a bigint at the id, .*as text/],
    [() => 1, /^is a function, .*leave it out/],
    [{ a: { done: () => 1 } }, /^has a function at a\.done, /],
    [Symbol('x'), /^is a symbol, /],
    [Buffer.from('x'), /^is a Buffer, .*hand over a Uint8Array/],
    [new Float64Array(1), /^is a Float64Array, .*Uint8Array/],
    [new Error('no'), /^is an Error, .*its message/],
    [{ later: Promise.resolve() }, /^has a Promise at later, .*await it/],
    [JSON.parse('{"__proto__":1}'), /^has a property of this name at __proto__, /],
  ])('refuses %o, says where, and what to do', (value, message) => {
    expect(problemOf(value)).toMatch(message)
  })

  it('refuses what refers to itself, or is nested too deep', () => {
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    expect(problemOf(cyclic)).toMatch(
      /^has more than 200 levels \(does it refer to itself\?\) at self\.self\..*…, which cannot be recorded/,
    )
    expect(problemOf(nested(200))).toBe('none')
    expect(problemOf(nested(201))).toMatch(/more than 200 levels/)
  })

  it('refuses more than 1 MiB, and takes what has exactly as much', () => {
    expect(problemOf('x'.repeat(1_048_576))).toMatch(/^has 1048581 bytes; at most 1048576 can be recorded/)
    expect(problemOf('x'.repeat(1_048_571))).toBe('none')
    expect(problemOf({ list: Array.from({ length: 300_000 }, () => 'text') })).toMatch(/^has 1500013 bytes/)
  })

  it('names the value that is refused', () => {
    expect(() => recordedOrThrow(new Map(), () => 'the input of workflow order/1')).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        message: expect.stringMatching(/^the input of workflow order\/1 is a Map/),
      }),
    )
  })
})
