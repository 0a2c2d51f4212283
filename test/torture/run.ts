import { cpSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { rowOf } from './faults.ts'
import { anyFault } from './plan.ts'
import { asTable } from './report.ts'
import { mountingRefusal } from './small-disk.ts'
import { emptyResult, Torture } from './torture.ts'
import { tracingRefusal } from './traced-writer.ts'

/**
 * `node test/torture/run.ts [--minutes M] [--cycles N] [--seed S] [--json FILE]`: ends after M minutes, or as soon as N
 * cycles with a kill are over. Exit code 1 when anything acknowledged was lost, came twice, or is not as it must be.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    cycles: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'string' },
  },
})
const seed = Number(values.seed)
const cyclesMax = Number(values.cycles)
const endMs = performance.now() + Number(values.minutes) * 60_000
const cyclesPerDatabase = 25
const write = (line: string): void => void process.stdout.write(`${line}\n`)

const refusals = { trace: tracingRefusal(), disk: mountingRefusal() }
for (const refusal of Object.values(refusals)) if (refusal !== null) write(`skipped: ${refusal}`)
const random = new SeededRandom(seed)
const result = emptyResult(seed)
const isOver = (): boolean =>
  performance.now() > endMs || result.killCycles >= cyclesMax || result.violations.length > 0

write(`seed ${seed}`)
for (let round = 1; !isOver(); round++) {
  // Every other database lies on a disk that can be filled.
  const hasDisk = refusals.disk === null && round % 2 === 0
  const torture = new Torture(random.uint32(), result, hasDisk)
  try {
    await torture.start()
    for (let cycle = 0; cycle < cyclesPerDatabase && !isOver(); cycle++) {
      const fault = anyFault(random, { canTrace: refusals.trace === null, hasDisk })
      const unavailableMs = await torture.cycle(fault)
      write(
        `${result.cycles}. ${rowOf(fault)}: ${result.acknowledged} acknowledged, ${unavailableMs} ms without an answer`,
      )
    }
    await torture.finish()
  } catch (error) {
    result.violations.push((error as Error).stack ?? String(error))
  }
  if (result.violations.length > 0) keepLog(torture.logPath)
  await torture.remove()
}

write(asTable(result))
if (values.json !== undefined)
  writeFileSync(
    values.json,
    `${JSON.stringify({ ...result, rows: Object.fromEntries(result.rows), errors: Object.fromEntries(result.errors) }, null, 2)}\n`,
  )
process.exitCode = result.violations.length === 0 && result.lost === 0 && result.duplicated === 0 ? 0 : 1

function keepLog(path: string): void {
  const kept = `torture-${seed}.log`
  cpSync(path, kept)
  write(`the log of the database is kept in ${kept}`)
}
