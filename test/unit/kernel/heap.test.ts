import { describe, expect, test } from 'vitest'
import { Heap } from '../../../src/kernel/heap.ts'
import { SeededRandom } from '../../../src/testing/seeded-random.ts'

const numbers = (): Heap<number> => new Heap((a, b) => a < b)

describe('a heap', () => {
  test('gives what was put into it in order, also while more is put in', () => {
    const random = new SeededRandom(7)
    const heap = numbers()
    const held: number[] = []
    for (let i = 0; i < 2_000; i++) {
      if (random.chance(0.6)) {
        const value = random.integer(0, 500)
        heap.push(value)
        held.push(value)
      } else {
        held.sort((a, b) => a - b)
        expect(heap.first()).toBe(held[0])
        expect(heap.pop()).toBe(held.shift())
      }
      expect(heap.length).toBe(held.length)
    }
    expect(heap.takeAll().sort((a, b) => a - b)).toEqual(held.sort((a, b) => a - b))
    expect(heap.length).toBe(0)
  })

  test('that is empty gives nothing', () => {
    const heap = numbers()
    expect(heap.first()).toBeUndefined()
    expect(heap.pop()).toBeUndefined()
    heap.push(1)
    expect(heap.pop()).toBe(1)
    expect(heap.pop()).toBeUndefined()
  })
})
