import { afterAll, describe, expect, it } from 'vitest'
import { faultKinds } from './plan.ts'
import { type ReplicationResult, simulateReplication } from './simulation.ts'

const seedsPerTest = 50
/** One history in so many is run a second time, which must go the same way. */
const repeatedEvery = 25

/** Histories from seed `first` on: a file's share. */
export function describeReplicationSeeds(first: number, count: number): void {
  const results: ReplicationResult[] = []

  describe('a replicated stream in virtual time, with parts that fail by seed', () => {
    const firsts = Array.from({ length: count / seedsPerTest }, (_, i) => first + i * seedsPerTest)

    it.each(firsts)('keeps its invariants and comes to rest from seed %i on', { timeout: 120_000 }, (from) => {
      for (let seed = from; seed < from + seedsPerTest; seed++) {
        const result = simulateReplication({ seed })
        results.push(result)
        const replay = `seed ${seed}; replay: npm run simulate -- --replication --seed ${seed} --trace`
        expect(result.violations, replay).toEqual([])
        if (seed % repeatedEvery === 0) expect(simulateReplication({ seed }), replay).toEqual(result)
      }
    })

    afterAll(() => {
      // A simulation in which little happens shows little.
      const total = (part: (result: ReplicationResult) => number | undefined): number =>
        results.reduce((sum, result) => sum + (part(result) ?? 0), 0)
      expect(results).toHaveLength(count)
      expect(total(({ outcomes }) => outcomes.acknowledged)).toBeGreaterThan(count * 30)
      expect(total(({ outcomes }) => outcomes.indeterminate)).toBeGreaterThan(count)
      expect(total(({ epochs }) => epochs)).toBeGreaterThan(count * 2)
      for (const kind of faultKinds)
        expect(
          total(({ faults }) => faults[kind]),
          kind,
        ).toBeGreaterThan(count * 0.04)
      const least = { read: 40, linearizable: 8, seals: 1, rolls: 0.3, trims: 0.1, damagedTold: 0.02 }
      for (const [what, share] of Object.entries(least))
        expect(
          total(({ counts }) => counts[what]),
          what,
        ).toBeGreaterThan(count * share)
    })
  })
}
