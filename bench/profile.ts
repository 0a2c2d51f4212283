import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programOptions } from '../scripts/program-options.ts'
import { type FunctionTime, readFunctionTimes } from './cpu-profile.ts'
import { DatabaseProcess, databaseClient } from './database-process.ts'
import { LimitProcesses, limitClient } from './limit/limit-processes.ts'
import { type Load, type LoadOptions, runLoad } from './load.ts'
import { cpuSecondsOf } from './process-usage.ts'
import { accounts } from './workload.ts'

const usage = `node bench/profile.ts [--role ROLE | --limit] [--concurrency N] [--seconds N] [--warmup N] [--accounts N] [--top N] [--by self|total] [--keep]

Where the processor time goes: by process, and for ROLE (journal-writer, dispatcher, projection-applier, gateway, application or client)
the time by function of its main thread. Sampling slows the role down by some percent: compare the table of processes without a role.
--keep leaves the .cpuprofile in the working directory, for a browser's developer tools. --limit prints the table for the bare pipeline.`
const { values, number, refuse } = programOptions(
  { name: 'profile', usage },
  {
    role: { type: 'string' },
    limit: { type: 'boolean', default: false },
    concurrency: { type: 'string', default: '1024' },
    seconds: { type: 'string', default: '8' },
    warmup: { type: 'string', default: '2' },
    accounts: { type: 'string', default: String(accounts) },
    top: { type: 'string', default: '40' },
    by: { type: 'string', default: 'self' },
    keep: { type: 'boolean', default: false },
  },
)
const roles = ['journal-writer', 'dispatcher', 'projection-applier', 'gateway', 'application', 'client'] as const
const role = roles.find((name) => name === values.role)
if (values.role !== undefined && role === undefined) refuse(`--role ${values.role}: must be one of ${roles.join(', ')}`)
const directory = mkdtempSync(join(tmpdir(), 'commanderdb-profile-'))
const profiles = values.keep ? process.cwd() : directory
const before = new Set(readdirSync(profiles))
const nodeOptions = ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${profiles}`]
const dataDir = join(directory, 'data')
const order: LoadOptions['order'] = {
  dataDir,
  accounts: number('accounts', { min: 1 }),
  concurrency: number('concurrency', { min: 1 }),
  length: { seconds: number('seconds', { min: 1 }) },
  warmupSeconds: number('warmup'),
}
try {
  if (values.limit) await profileLimit()
  else await profileDatabase()
} finally {
  rmSync(directory, { recursive: true })
}

async function profileLimit(): Promise<void> {
  const limit = await LimitProcesses.start(dataDir)
  try {
    printProcesses(await runLoad({ program: limitClient, order, processes: limit.processes() }))
  } finally {
    await limit.stop()
  }
}

async function profileDatabase(): Promise<void> {
  const resources = role === undefined || role === 'client' ? {} : { [role]: { nodeOptions } }
  const database = await DatabaseProcess.start({ dataDir, resources })
  try {
    const processes = await database.processes()
    const clientOptions = role === 'client' ? { nodeOptions } : {}
    const load = await runLoad({ program: databaseClient, order, processes, ...clientOptions })
    printProcesses(load)
    await database.stop()
    if (role !== undefined) printFunctions(load)
  } finally {
    await database.kill()
  }
}

function printProcesses({ result, cpu, othersCpus }: Load): void {
  const { concurrency, commands, seconds, commandsPerSecond, p50Ms, p99Ms } = result
  console.log(
    `concurrency ${concurrency}: ${commands} commands in ${seconds.toFixed(1)} s, ${Math.round(commandsPerSecond)}/s, ` +
      `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms\n`,
  )
  const row = (name: string, cells: readonly string[]): void =>
    console.log(name.padEnd(24) + cells.map((cell) => cell.padStart(11)).join(''))
  row('processor time', ['user s', 'system s', 'us/command', 'main', 'pool', 'other', 'cpus busy'])
  const sum = [0, 0, 0, 0, 0, 0, 0]
  for (const [name, use] of cpu) {
    const all = cpuSecondsOf(use)
    const { userSeconds, systemSeconds, mainSeconds, poolSeconds, otherSeconds } = use
    const perCommand = [all, mainSeconds, poolSeconds, otherSeconds].map((used) => (used * 1e6) / commands)
    const cells = [userSeconds, systemSeconds, ...perCommand, all / seconds]
    cells.forEach((value, index) => {
      sum[index] = (sum[index] ?? 0) + value
    })
    row(
      name,
      cells.map((value) => value.toFixed(2)),
    )
  }
  row(
    'together',
    sum.map((value) => value.toFixed(2)),
  )
  console.log(`${othersCpus.toFixed(2)} processors worked for others`)
}

function printFunctions({ beganMicros, endedMicros, result }: Load): void {
  const file = readdirSync(profiles).find((name) => name.endsWith('.cpuprofile') && !before.has(name))
  if (file === undefined) throw new Error(`${role} left no profile in ${profiles}: it did not exit cleanly`)
  const all = readFunctionTimes(join(profiles, file), beganMicros, endedMicros)
  const times = all.filter(({ name }) => name !== '(idle)' && name !== '(root)')
  const key: keyof FunctionTime = values.by === 'total' ? 'totalMs' : 'selfMs'
  const sorted = times.toSorted((a, b) => b[key] - a[key]).slice(0, number('top', { min: 1 }))
  const busyMs = times.reduce((sum, { selfMs }) => sum + selfMs, 0)
  console.log(`\n${role}, main thread: ${(busyMs / 1000).toFixed(1)} s busy`)
  console.log('   self %  self us/command  total us/command  function')
  for (const { name, selfMs, totalMs } of sorted) {
    const perCommand = (ms: number): string => ((ms * 1000) / result.commands).toFixed(3)
    const share = ((selfMs / busyMs) * 100).toFixed(1)
    console.log(`${share.padStart(9)}${perCommand(selfMs).padStart(17)}${perCommand(totalMs).padStart(18)}  ${name}`)
  }
  if (values.keep) console.log(`\n${join(profiles, file)}`)
}
