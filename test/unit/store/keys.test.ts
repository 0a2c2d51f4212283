import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeKey, encodeKey, type KeyPart, numberKey, prefixRange, readKeyNumber } from '../../../src/store/keys.ts'
import { keyBytesMax } from '../../../src/store/store-limits.ts'

const kinds = fc.array(fc.constantFrom<'string' | 'number'>('string', 'number'), { minLength: 1, maxLength: 4 })
/** Strings in which what is special to the encoding is common. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('\x00', '\x01', '\x02', 'a', 'b', '\x7f', 'ä', '\u{10ffff}'), maxLength: 6 }),
)
const number = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(3),
  fc.constantFrom(0xff, 0x100, 0xffffffff, 0x100000000, Number.MAX_SAFE_INTEGER),
)
const partsOf = (shape: readonly string[]): fc.Arbitrary<KeyPart[]> =>
  fc.tuple(...shape.map((kind): fc.Arbitrary<KeyPart> => (kind === 'string' ? text : number)))
/** Two lists of parts of the same kinds, often with a common beginning. */
const twoLists = kinds.chain((shape) =>
  fc
    .tuple(partsOf(shape), partsOf(shape), fc.nat(shape.length))
    .map(([left, right, common]) => ({ shape, left, right: [...left.slice(0, common), ...right.slice(common)] })),
)

function compareParts(left: readonly KeyPart[], right: readonly KeyPart[]): number {
  for (const [i, part] of left.entries()) {
    const other = right[i] as KeyPart
    const order = typeof part === 'number' ? part - (other as number) : compareText(part, other as string)
    if (order !== 0) return Math.sign(order)
  }
  return 0
}

/** By code point, unlike JavaScript's own comparison. */
function compareText(left: string, right: string): number {
  const [a, b] = [[...left], [...right]]
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = (a[i]?.codePointAt(0) ?? 0) - (b[i]?.codePointAt(0) ?? 0)
    if (order !== 0) return order
  }
  return a.length - b.length
}

describe('keys', () => {
  it('compare bytewise as their parts compare one by one', () => {
    fc.assert(
      fc.property(twoLists, ({ left, right }) => {
        expect(Buffer.compare(encodeKey(...left), encodeKey(...right))).toBe(compareParts(left, right))
      }),
      { numRuns: 2000 },
    )
  })

  it('give their parts back', () => {
    fc.assert(
      fc.property(twoLists, ({ shape, left }) => {
        expect(decodeKey(encodeKey(...left), shape)).toEqual(left)
      }),
      { numRuns: 1000 },
    )
  })

  it('of numbers keep the order of the numbers in 8 bytes', () => {
    fc.assert(
      fc.property(number, number, (left, right) => {
        expect(Buffer.compare(numberKey(left), numberKey(right))).toBe(Math.sign(left - right))
        expect(numberKey(left).length).toBe(8)
        expect(readKeyNumber(numberKey(left), 0)).toBe(left)
        expect(encodeKey(left)).toEqual(numberKey(left))
      }),
    )
  })

  it('are within the range of a prefix exactly when they begin with it', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 4 }).map((array) => Buffer.from(array.map((b) => b | 0xfc)))
    fc.assert(
      fc.property(bytes, bytes, (prefix, key) => {
        const { from, to } = prefixRange(prefix)
        const inside = Buffer.compare(key, from) >= 0 && (to === undefined || Buffer.compare(key, to) < 0)
        expect(inside).toBe(key.subarray(0, prefix.length).equals(prefix))
      }),
      { numRuns: 1000 },
    )
  })

  it('of one string and any number lie within the range of that string alone', () => {
    fc.assert(
      fc.property(text, text, number, (owner, other, n) => {
        const { from, to } = prefixRange(encodeKey(owner))
        const key = encodeKey(other, n)
        const inside = Buffer.compare(key, from) >= 0 && (to === undefined || Buffer.compare(key, to) < 0)
        expect(inside).toBe(owner === other)
      }),
    )
  })

  it('refuse what would not be one-to-one or would not fit', () => {
    expect(() => encodeKey('\ud800')).toThrow(/lone surrogates/)
    for (const wrong of [-1, 1.5, Number.NaN, 2 ** 53]) expect(() => encodeKey(wrong)).toThrow(/safe integer/)
    expect(encodeKey('a'.repeat(keyBytesMax - 1)).length).toBe(keyBytesMax)
    expect(() => encodeKey('a'.repeat(keyBytesMax))).toThrow(/at most 1900 bytes/)
    expect(() => encodeKey('\x01'.repeat(keyBytesMax / 2))).toThrow(/at most 1900 bytes/)
    expect(() => encodeKey('語'.repeat(keyBytesMax - 1))).toThrow(/at most 1900 bytes/)
    expect(() => encodeKey('a'.repeat(keyBytesMax - 1), 1)).toThrow(/at most 1900 bytes/)
    expect(() => decodeKey(encodeKey('a', 1), ['string'])).toThrow(/has 10 bytes, its parts 2/)
    expect(() => decodeKey(Buffer.from('a'), ['string'])).toThrow(/ends within a string/)
  })

  it('do not share memory with one another', () => {
    const first = encodeKey('first', 1)
    const copy = Buffer.from(first)
    encodeKey('second', 2)
    expect(first).toEqual(copy)
  })
})
