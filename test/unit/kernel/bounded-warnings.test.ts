import { expect, it } from 'vitest'
import { BoundedWarnings } from '../../../src/kernel/bounded-warnings.ts'
import { silentLog } from '../../../src/kernel/environment.ts'
import { limits } from '../../../src/kernel/limits.ts'

it('thousands of warnings at once are some, and one that there are more; later ones are logged again', () => {
  let nowMs = 5
  const logged: string[] = []
  const log = { ...silentLog, warn: (_: object, message: string) => void logged.push(message) }
  const warnings = new BoundedWarnings({ clock: { wallMs: () => 0, monotonicMs: () => nowMs }, log }, 'there are more')
  for (let i = 0; i < 5000; i++) warnings.warn({}, `warning ${i}`)
  const some = Array.from({ length: limits.warningsPerPeriodMax }, (_, i) => `warning ${i}`)
  expect(logged).toEqual([...some, 'there are more'])
  nowMs += limits.warningsPeriodMs - 1
  warnings.warn({}, 'within the period')
  nowMs += 1
  warnings.warn({}, 'after it')
  expect(logged).toEqual([...some, 'there are more', 'after it'])
})
