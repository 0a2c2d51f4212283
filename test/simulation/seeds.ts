import { afterAll, describe, expect, it } from 'vitest'
import { type SimulationResult, simulate } from './simulation.ts'

const seedsPerTest = 25
/** One history in so many is run a second time, which must go the same way. */
const repeatedEvery = 25

/** Histories from seed `first` on: a file's share, so that several files run side by side. */
export function describeSeeds(first: number, count: number): void {
  const results: SimulationResult[] = []

  describe('the whole database in virtual time, with parts that fail by seed', () => {
    const firsts = Array.from({ length: count / seedsPerTest }, (_, i) => first + i * seedsPerTest)

    it.each(firsts)('keeps its guarantees from seed %i on', { timeout: 120_000 }, async (from) => {
      for (let seed = from; seed < from + seedsPerTest; seed++) {
        const result = await simulate({ seed })
        results.push(result)
        const replay = `seed ${seed}; replay: npm run simulate -- --seed ${seed} --trace`
        expect(result.violations, replay).toEqual([])
        if (seed % repeatedEvery === 0) expect(await simulate({ seed }), replay).toEqual(result)
      }
    })

    afterAll(() => {
      // A simulation in which little happens shows little.
      const total = (part: (result: SimulationResult) => number): number => results.reduce((sum, r) => sum + part(r), 0)
      expect(results).toHaveLength(count)
      expect(total(({ completed }) => completed)).toBeGreaterThan(count * 15)
      expect(total(({ states }) => states)).toBeGreaterThan(count * 15)
      const faults = new Set(
        results.flatMap((result) => Object.keys(result.faults).filter((kind) => (result.faults[kind] ?? 0) > 0)),
      )
      expect([...faults].length).toBeGreaterThanOrEqual(10)
      const least = (
        kinds: Readonly<Record<string, number>>,
        of: (result: SimulationResult) => Readonly<Record<string, number>>,
      ): void => {
        for (const [kind, share] of Object.entries(kinds))
          expect(
            total((result) => of(result)[kind] ?? 0),
            kind,
          ).toBeGreaterThan(count * share)
      }
      // Media that fail, and what came of it.
      least({ bitFlip: 0.1, dropWrite: 0.05, misdirect: 0.02, reread: 0.05 }, (result) => result.faults)
      least({ refused: 0.05, wentOn: 0.02, givenUp: 0.02 }, ({ recoveries }) => recoveries)
      least({ putBack: 0.05, gaveUp: 0.02, storeSetAside: 0.01 }, ({ repairs }) => repairs)
      // The life of streams, and an archive that fails.
      least(
        { archive: 0.1, close: 0.1, delete: 0.1, retryAndDelete: 0.05, archiveSegments: 0.1 },
        ({ streams }) => streams,
      )
      expect(total(({ restoredSegments }) => restoredSegments)).toBeGreaterThan(count * 0.1)
      expect(total(({ archiveFailures }) => archiveFailures)).toBeGreaterThan(count * 0.02)
    })
  })
}
