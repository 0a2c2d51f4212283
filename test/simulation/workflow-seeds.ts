import { afterAll, describe, expect, it } from 'vitest'
import { simulateWorkflows, type WorkflowSimulation } from './workflow-history.ts'

const seedsPerTest = 25

/** Histories with workflows from seed `first` on. */
export function describeWorkflowSeeds(first: number, count: number): void {
  const results: WorkflowSimulation[] = []

  describe('a database with workflows in virtual time, with parts that fail by seed', () => {
    const firsts = Array.from({ length: count / seedsPerTest }, (_, i) => first + i * seedsPerTest)

    it.each(firsts)('keeps its guarantees from seed %i on', { timeout: 120_000 }, async (from) => {
      for (let seed = from; seed < from + seedsPerTest; seed++) {
        const result = await simulateWorkflows(seed)
        results.push(result)
        const replay = `seed ${seed}; replay: npm run simulate -- --workflows --seed ${seed} --trace`
        expect(result.violations, replay).toEqual([])
        if (seed === from) expect(await simulateWorkflows(seed), replay).toEqual(result)
      }
    })

    afterAll(() => {
      // A simulation in which little happens shows little.
      const total = (part: (result: WorkflowSimulation) => number): number =>
        results.reduce((sum, result) => sum + part(result), 0)
      expect(results).toHaveLength(count)
      expect(total(({ workflows }) => workflows)).toBeGreaterThan(count * 2)
      expect(total(({ effects }) => effects)).toBeGreaterThan(count * 4)
      expect(total(({ repeated }) => repeated)).toBeGreaterThan(count)
      const faults = new Set(results.flatMap((result) => Object.keys(result.faults)))
      expect([...faults].sort()).toEqual(
        ['clock', 'kill', 'killInStep', 'leave', 'power', 'sever', 'suspend', 'suspendInStep'].sort(),
      )
    })
  })
}
