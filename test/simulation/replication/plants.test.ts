import { expect, test } from 'vitest'
import { replicationPlants } from './plants.ts'
import { simulateReplication } from './simulation.ts'

const seedsMost = 400

/** A simulation that finds nothing may be looking at nothing: each of these mistakes must be found, and for what it is. */
test.each(replicationPlants.map((plant) => [plant.name, plant] as const))(
  'finds %s',
  { timeout: 60_000 },
  (_name, one) => {
    const takeOut = one.plant()
    try {
      expect(firstViolations(one.from ?? 1)).toMatch(one.finds)
    } finally {
      takeOut()
    }
  },
)

function firstViolations(from: number): string {
  for (let seed = from; seed < from + seedsMost; seed++) {
    const { violations } = simulateReplication({ seed })
    if (violations.length > 0) return violations.join('\n')
  }
  return `nothing in ${seedsMost} seeds`
}
