import { expect, it } from 'vitest'
import { collectGarbage } from '../../../src/supervisor/collect-garbage.ts'

it('collects what nobody holds, leaves the rest, and shows nothing of V8 to others', () => {
  const held = Array.from({ length: 1000 }, (_, n) => ({ n }))
  let garbage: unknown[] = Array.from({ length: 500_000 }, (_, n) => ({ n, text: `text ${n}` }))
  const before = process.memoryUsage().heapUsed
  garbage = []
  const residentBytes = collectGarbage()
  expect(process.memoryUsage().heapUsed).toBeLessThan(before - 20_000_000)
  expect(residentBytes).toBeGreaterThan(0)
  expect(held[999]).toEqual({ n: 999 })
  expect(garbage).toEqual([])
  expect(Reflect.has(globalThis, 'gc')).toBe(false)
})
