import { parseArgs } from 'node:util'
import { simulate } from './simulation.ts'

/** `node test/simulation/run.ts --seeds N [--seed S] [--trace]`: histories from seed S (default 1) on, or one of them in full. */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    keepGoing: { type: 'boolean', default: false },
  },
})
const first = Number(values.seed)
const write = (line: string): void => void process.stdout.write(`${line}\n`)
let failed = 0
const started = process.cpuUsage()
let events = 0
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const result = await simulate({ seed, ...(values.trace ? { print: write } : {}) })
  events += result.events
  if (values.trace || Number(values.seeds) === 1) write(JSON.stringify(result))
  if (result.violations.length === 0) continue
  failed++
  write(`seed ${seed} failed: ${result.violations[0]}`)
  if (!values.keepGoing) break
}
const { user, system } = process.cpuUsage(started)
write(`${failed} failed, ${events} events, ${((user + system) / 1e6).toFixed(1)} s of CPU`)
process.exitCode = failed === 0 ? 0 : 1
