import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SortedKeys } from '../../../src/store/sorted-keys.ts'

describe('SortedKeys', () => {
  it('answers like a sorted array, through splits and removals of whole chunks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2500 }), fc.nat(), fc.boolean(), (size, seed, removeAll) => {
        const keys = new SortedKeys()
        const model = new Set<string>()
        let state = seed
        const next = (): string => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0
          return String((state >>> 8) % (size * 2)).padStart(5, '0')
        }
        for (let i = 0; i < size; i++) {
          const key = next()
          keys.add(key)
          model.add(key)
        }
        for (const key of [...model]) {
          if (!removeAll && key.endsWith('7')) continue
          keys.remove(key)
          model.delete(key)
        }
        keys.remove('absent')
        const sorted = [...model].sort()
        expect(keys.below(undefined)).toBe(sorted.at(-1))
        for (let i = 0; i < 50; i++) {
          const probe = next()
          expect(keys.atOrAbove(probe)).toBe(sorted.find((key) => key >= probe))
          expect(keys.below(probe)).toBe(sorted.findLast((key) => key < probe))
        }
      }),
      { numRuns: 60 },
    )
  })
})
