import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NumberMap } from '../../src/kernel/number-map.ts'

const key = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 2 ** 32 - 50, max: 2 ** 32 + 50 }),
  fc.maxSafeInteger(),
)
const step = fc.record({ what: fc.constantFrom('set', 'set', 'delete', 'get', 'clear'), key, value: fc.nat() })

describe('a map of numbers', () => {
  it('holds what a Map holds, whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2000 }), (steps) => {
        const map = new NumberMap<number>()
        const model = new Map<number, number>()
        for (const { what, key, value } of steps) {
          if (what === 'set') {
            map.set(key, value)
            model.set(key, value)
          } else if (what === 'delete') expect(map.delete(key)).toBe(model.delete(key))
          else if (what === 'clear' && value % 10 === 0) {
            map.clear()
            model.clear()
          } else {
            expect(map.get(key)).toBe(model.get(key))
            expect(map.has(key)).toBe(model.has(key))
          }
        }
        expect(map.size).toBe(model.size)
        const inOrder = (entries: Iterable<[number, number]>): [number, number][] =>
          [...entries].sort(([a], [b]) => a - b)
        expect(inOrder(map)).toEqual(inOrder(model))
        expect(map.values().sort()).toEqual([...model.values()].sort())
      }),
    )
  })

  it('keeps a window of neighbouring keys that moves on, and gives memory for no more', () => {
    const map = new NumberMap<string>()
    for (let i = 0; i < 50_000; i++) {
      map.set(i, `${i}`)
      if (i >= 1000) expect(map.delete(i - 1000)).toBe(true)
    }
    expect(map.keys().sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => 49_000 + i))
  })
})
