import { parseArgs } from 'node:util'
import { type FuzzTarget, fuzz } from './fuzz.ts'
import { httpTarget } from './http-target.ts'
import { ipcTarget } from './ipc-target.ts'
import { journalTarget } from './journal-target.ts'
import { replicationTarget } from './replication-target.ts'

/** `node test/fuzz/run.ts [--inputs N] [--target journal|ipc|http|replication] [--seed S]`: N inputs for each target, or for one. */
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '10000' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const targets: Readonly<Record<string, FuzzTarget>> = {
  journal: journalTarget,
  ipc: ipcTarget,
  http: httpTarget,
  replication: replicationTarget,
}
const names = values.target === undefined ? Object.keys(targets) : [values.target]
const inputs = Number(values.inputs)
const seed = Number(values.seed)
const write = (line: string): void => void process.stdout.write(`${line}\n`)
const mebibytes = (bytes: number): number => Math.round(bytes / 1_048_576)

for (const name of names) {
  const target = targets[name]
  if (target === undefined)
    throw new Error(`there is no target ${name}; take one of ${Object.keys(targets).join(', ')}`)
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
