import { expect, test, vi } from 'vitest'
import type { OutboxSlice } from '../../src/state/outbox.ts'
import { simulateWorkflows } from './workflow-history.ts'
import { workflowPlants } from './workflow-plants.ts'

const seedsMost = 150
const outbox = vi.hoisted(() => ({ forgets: true }))

/** What every process folds with is a function, and no method that could be replaced for a while. */
vi.mock(import('../../src/state/outbox.ts'), async (importOriginal) => {
  const original = await importOriginal()
  const takeMessage: typeof original.takeMessage = (slice: OutboxSlice, source, index) =>
    outbox.forgets
      ? original.takeMessage(slice, source, index)
      : slice.bySource.get(source)?.find((message) => message.index === index)
  return { ...original, takeMessage }
})

test('finds an outbox that does not forget what was forwarded', { timeout: 120_000 }, async () => {
  outbox.forgets = false
  try {
    expect(await firstViolations()).toMatch(/liveness.* messages/)
    expect(await firstViolations((violations) => violations.some((one) => /forwarded twice/.test(one)))).toMatch(
      /twice/,
    )
  } finally {
    outbox.forgets = true
  }
})

/** A simulation that finds nothing may be looking at nothing: each of these mistakes must be found, and for what it is. */
test.each(workflowPlants)('finds $name', { timeout: 120_000 }, async ({ plant, finds }) => {
  const takeOut = plant()
  try {
    expect(await firstViolations()).toMatch(finds)
  } finally {
    takeOut()
  }
})

async function firstViolations(
  isWanted: (violations: readonly string[]) => boolean = (violations) => violations.length > 0,
): Promise<string> {
  for (let seed = 1; seed <= seedsMost; seed++) {
    const { violations } = await simulateWorkflows(seed)
    if (isWanted(violations)) return violations.join('\n')
  }
  return `nothing in ${seedsMost} seeds`
}
