import { afterAll, describe, expect, it, test } from 'vitest'
import { type SimulationResult, simulate } from './simulation.ts'

const seeds = 500
const seedsPerTest = 25
const results: SimulationResult[] = []

describe('the whole database in virtual time, with parts that fail by seed', () => {
  const firsts = Array.from({ length: seeds / seedsPerTest }, (_, i) => 1 + i * seedsPerTest)

  it.each(firsts)('keeps its guarantees from seed %i on', { timeout: 120_000 }, async (first) => {
    for (let seed = first; seed < first + seedsPerTest; seed++) {
      const result = await simulate({ seed })
      results.push(result)
      const replay = `seed ${seed}; replay: node test/simulation/run.ts --seed ${seed} --trace`
      expect(result.violations, replay).toEqual([])
    }
  })

  afterAll(() => {
    // A simulation in which little happens shows little.
    const total = (count: (result: SimulationResult) => number): number => results.reduce((sum, r) => sum + count(r), 0)
    expect(results).toHaveLength(seeds)
    expect(total(({ completed }) => completed)).toBeGreaterThan(seeds * 20)
    expect(total(({ states }) => states)).toBeGreaterThan(seeds * 20)
    const faults = new Set(
      results.flatMap((result) => Object.keys(result.faults).filter((kind) => (result.faults[kind] ?? 0) > 0)),
    )
    expect([...faults].length).toBeGreaterThanOrEqual(5)
  })
})

test('the same seed gives the same history', async () => {
  const once = await simulate({ seed: 7 })
  const again = await simulate({ seed: 7 })
  expect(again).toEqual(once)
})
