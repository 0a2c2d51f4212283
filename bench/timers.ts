import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fireManyTimers } from './many-timers.ts'

/** `npm run bench:timers -- [N]`: N timers (default a million) in a real store, fired in order. */
const timers = Number(process.argv[2] ?? 1_000_000)
const directory = mkdtempSync(join(tmpdir(), 'commanderdb-timers-'))
try {
  const result = await fireManyTimers(directory, timers)
  console.log(JSON.stringify(result))
  process.exitCode = result.fired === timers && result.outOfOrder === 0 ? 0 : 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
