import { programOptions } from '../../scripts/program-options.ts'
import { simulateReplication } from './replication/simulation.ts'
import { simulate } from './simulation.ts'
import { simulateStandby } from './standby/standby-history.ts'
import { simulateWorkflows } from './workflow-history.ts'

interface Result {
  readonly seed: number
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly events: number
}

const usage = `npm run simulate -- [--seeds N] [--seed S] [--workflows | --replication | --standby] [--trace] [--keep-going]
  --seeds N      so many histories, one seed after the other (default 1)
  --seed S       the first of them (default 1)
  --workflows    histories with workflows
  --replication  histories of a replicated stream: servers, leaders and followers under faults
  --standby      histories of two nodes of a database that lead in turn
  --trace        print everything that happens
  --keep-going   do not stop at the first history that fails
Exit code 0: all went well. 1: a history failed. 2: wrong use.`

const kinds = ['workflows', 'replication', 'standby'] as const

type Kind = 'commands' | (typeof kinds)[number]

interface RunOptions {
  readonly seeds: number
  readonly seed: number
  readonly kind: Kind
  readonly trace: boolean
  readonly keepGoing: boolean
}

const write = (line: string): void => void process.stdout.write(`${line}\n`)

/** Whoever reads has seen enough, as `head` does: what failed so far is the exit code. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

const { values, number, refuse } = programOptions(
  { name: 'simulate', usage },
  {
    seeds: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    workflows: { type: 'boolean', default: false },
    replication: { type: 'boolean', default: false },
    standby: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
)
const [kind = 'commands', another] = kinds.filter((one) => values[one])
if (another !== undefined) refuse(`--${kind} and --${another} are two kinds of histories`)
const range = { min: 1, max: 0xffff_ffff, isWhole: true }
process.exitCode = await run({
  seeds: number('seeds', range),
  seed: number('seed', range),
  kind,
  trace: values.trace,
  keepGoing: values['keep-going'],
})

async function run({ seeds, seed: first, kind, trace, keepGoing }: RunOptions): Promise<number> {
  const started = process.cpuUsage()
  let failed = 0
  let events = 0
  let ran = 0
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await history(kind, seed, trace)
    ran++
    events += result.events
    if (trace || seeds === 1) write(JSON.stringify(result))
    if (result.violations.length === 0) continue
    failed++
    process.exitCode = 1
    tell(result, kind)
    if (!keepGoing) break
  }
  const { user, system } = process.cpuUsage(started)
  write(`${ran} histories, ${failed} failed, ${events} events, ${((user + system) / 1e6).toFixed(1)} s of CPU`)
  return failed === 0 ? 0 : 1
}

async function history(kind: Kind, seed: number, trace: boolean): Promise<Result> {
  const print = trace ? { print: write } : {}
  switch (kind) {
    case 'commands':
      return simulate({ seed, ...print })
    case 'workflows':
      return simulateWorkflows(seed, trace ? write : null)
    case 'replication':
      return simulateReplication({ seed, ...print })
    case 'standby':
      return simulateStandby(seed, print)
  }
}

function tell({ seed, traceHash, violations }: Result, kind: Kind): void {
  write(`seed ${seed} failed, trace ${traceHash}: ${violations[0]}`)
  for (const violation of violations.slice(1)) write(`  and ${violation}`)
  write(`replay: npm run simulate -- ${kind === 'commands' ? '' : `--${kind} `}--seed ${seed} --trace`)
}
