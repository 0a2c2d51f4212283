import { programOptions } from '../../scripts/program-options.ts'
import { type FuzzTarget, fuzz } from './fuzz.ts'
import { httpTarget } from './http-target.ts'
import { ipcTarget } from './ipc-target.ts'
import { journalTarget } from './journal-target.ts'
import { replicationTarget } from './replication-target.ts'

const usage = `npm run fuzz -- [--inputs N] [--target journal|ipc|http|replication] [--seed S]

Damaged and random bytes for whoever reads bytes: N (10,000) inputs for each target, or for one.`
const { values, number, refuse } = programOptions(
  { name: 'fuzz', usage },
  {
    inputs: { type: 'string', default: '10000' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
)
const targets: Readonly<Record<string, FuzzTarget>> = {
  journal: journalTarget,
  ipc: ipcTarget,
  http: httpTarget,
  replication: replicationTarget,
}
const names = values.target === undefined ? Object.keys(targets) : [values.target]
const inputs = number('inputs', { min: 1, isWhole: true })
const seed = number('seed', { isWhole: true })
const write = (line: string): void => void process.stdout.write(`${line}\n`)
const mebibytes = (bytes: number): number => Math.round(bytes / 1_048_576)

for (const name of names) {
  const target = targets[name] ?? refuse(`there is no target ${name}; take one of ${Object.keys(targets).join(', ')}`)
  const startedMs = performance.now()
  const every = Math.max(500, Math.floor(inputs / 20 / 500) * 500)
  try {
    const most = await fuzz({
      target,
      seed,
      inputs,
      progress: (done, residentBytes) => {
        if (done % every === 0) write(`${name}: ${done} inputs, ${mebibytes(residentBytes)} MiB resident`)
      },
    })
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    write(
      `${name}: ${inputs} inputs of seed ${seed} in ${seconds} s, at most ${mebibytes(most)} MiB resident, all is well`,
    )
  } catch (error) {
    write(`${name} FAILED: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
// What a failed target has left open keeps nobody waiting.
if (process.exitCode === 1) process.exit()
