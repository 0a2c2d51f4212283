import { expect, test } from 'vitest'
import { plants } from './plants.ts'
import { simulate } from './simulation.ts'

const seedsMost = 300

/** A simulation that finds nothing may be looking at nothing: each of these mistakes must be found, and for what it is. */
test.each(plants.map((plant) => [plant.name, plant] as const))('finds %s', { timeout: 120_000 }, async (_name, one) => {
  const { plant, finds, from = 1 } = one
  const takeOut = plant()
  try {
    expect(await firstViolations(from)).toMatch(finds)
  } finally {
    takeOut()
  }
})

async function firstViolations(from: number): Promise<string> {
  for (let seed = from; seed < from + seedsMost; seed++) {
    const { violations } = await simulate({ seed, length: 'usual' })
    if (violations.length > 0) return violations.join('\n')
  }
  return `nothing in ${seedsMost} seeds`
}
