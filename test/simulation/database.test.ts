import { expect, test } from 'vitest'
import { simulate } from './simulation.ts'

test('the same seed gives the same history', async () => {
  const once = await simulate({ seed: 7 })
  const again = await simulate({ seed: 7 })
  expect(again).toEqual(once)
})
