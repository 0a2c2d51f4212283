import { afterEach, expect, it } from 'vitest'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { everyFault } from '../torture/plan.ts'
import { mountingRefusal } from '../torture/small-disk.ts'
import { emptyResult, Torture } from '../torture/torture.ts'
import { tracingRefusal } from '../torture/traced-writer.ts'

/** Another one each day would find more and tell less: `npm run torture` is for that. */
const seed = 1

let torture: Torture | undefined
afterEach(async () => {
  await torture?.remove()
  torture = undefined
})

it('a database loses nothing and repeats nothing through one fault of each kind', async () => {
  const refusals = { trace: tracingRefusal(), disk: mountingRefusal() }
  for (const refusal of Object.values(refusals)) if (refusal !== null) process.stdout.write(`skipped: ${refusal}\n`)
  const hasDisk = refusals.disk === null
  const result = emptyResult(seed)
  torture = new Torture(seed, result, hasDisk)
  await torture.start()
  const faults = everyFault(new SeededRandom(seed), { canTrace: refusals.trace === null, hasDisk })
  for (const fault of faults) await torture.cycle(fault)
  await torture.finish()
  expect(result.violations).toEqual([])
  expect(result).toMatchObject({ cycles: faults.length, lost: 0, duplicated: 0 })
  expect(result.acknowledged).toBeGreaterThan(100 * faults.length)
})
