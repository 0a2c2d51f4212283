import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fireManyTimers } from './many-timers.ts'
import { measureLateness } from './timer-lateness.ts'

/**
 * `npm run bench:timers -- [N] [M]`: how late M timers (default 500) fire in real processes on an idle machine, and N timers
 * (default a million) in a real store, fired in order.
 */
const timers = Number(process.argv[2] ?? 1_000_000)
const late = Number(process.argv[3] ?? 500)
const directory = mkdtempSync(join(tmpdir(), 'commanderdb-timers-'))
try {
  const lateness = await measureLateness(directory, late)
  console.log(JSON.stringify(lateness))
  const result = await fireManyTimers(directory, timers)
  console.log(JSON.stringify(result))
  process.exitCode = lateness.fired === late && result.fired === timers && result.outOfOrder === 0 ? 0 : 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
