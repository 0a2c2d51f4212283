import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { programOptions } from '../scripts/program-options.ts'
import { measureArchiving } from './archiving.ts'
import { compareWithLimit, keepCompiledCode } from './comparison.ts'
import { measureEndurance } from './endurance.ts'
import { enduranceTargets, printEndurance } from './endurance-report.ts'
import { measureFilled } from './filled.ts'
import { measureLongRun } from './long-run.ts'
import { measureReplicated } from './replicated.ts'
import { printReplicated, printReport, printTargets } from './report.ts'
import { measureRestoring, printRestoring } from './restoring.ts'
import { replicatedTargets, targetsOf } from './targets.ts'
import { measureWorkflows } from './workflows.ts'

const usage = `npm run bench -- [--json FILE] [--directory D] [--concurrency N,N...] [--rounds N] [--seconds N] [--warmup N] [--long]

The database beside its limit, in about ten minutes; what is measured and what is not is in bench/README.md. --directory is where the
data directories are made and removed again: on the disk to measure, default the system's temporary directory. --long adds 2,000,000
commands to see that memory and journal stay bounded, and takes longer.

Parts of it alone, each with --json and --directory:
  --replicated   the replicated journal beside the local one
  --restore      whole restores, --rounds of each
  --endurance    load for minutes: [--minutes N] [--concurrency N] [--pause MS] [--journal-mib N] [--segment-mib N];
                 exits with 1 when a target is missed`
const { values, number, refuse } = programOptions(
  { name: 'bench', usage },
  {
    json: { type: 'string' },
    directory: { type: 'string', default: tmpdir() },
    concurrency: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    long: { type: 'boolean', default: false },
    endurance: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '30' },
    pause: { type: 'string', default: '0' },
    'journal-mib': { type: 'string', default: '256' },
    'segment-mib': { type: 'string', default: '16' },
    restore: { type: 'boolean', default: false },
    replicated: { type: 'boolean', default: false },
  },
)
const concurrencies = (values.concurrency ?? '1,64,256,1024').split(',').map(Number)
if (!concurrencies.every((one) => Number.isSafeInteger(one) && one >= 1))
  refuse(`--concurrency is ${JSON.stringify(values.concurrency)}; it must be numbers from 1 on, separated by commas`)
const mebibyte = 1_048_576
const startedMs = performance.now()
const directory = mkdtempSync(join(values.directory, 'commanderdb-bench-'))
// The exit kills the supervisors, whose children end without them, as the limit's and the clients do without us.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
process.on('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }))

if (values.endurance) await runEndurance()
if (values.restore) {
  const figures = await measureRestoring({
    directory,
    commands: 500_000,
    rounds: number('rounds', { min: 1, isWhole: true }),
    progress,
  })
  printRestoring(figures)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`)
  process.exit(0)
}

const comparisonOptions = {
  directory,
  concurrencies,
  rounds: number('rounds', { min: 1, isWhole: true }),
  warmupSeconds: number('warmup'),
  seconds: number('seconds'),
  hotKeyConcurrency: 64,
  progress,
}
await keepCompiledCode(comparisonOptions)
if (values.replicated) {
  const figures = await measureReplicated(comparisonOptions)
  printReplicated(figures)
  printTargets(replicatedTargets(figures))
  if (values.json !== undefined) writeJson(values.json, { replicated: figures })
  process.exit(0)
}
const comparisons = await compareWithLimit(comparisonOptions)
const filled = await measureFilled({ directory, commands: 200_000, recoveries: 3, readPasses: 3, progress })
const archiving = await measureArchiving({ ...comparisonOptions, seconds: comparisonOptions.seconds + 2 })
const workflows = await measureWorkflows({ ...comparisonOptions, sleeping: 100_000 })
const replicated = await measureReplicated(comparisonOptions)
if (values.long) progress('2,000,000 commands, for memory, journal and recovery')
const longRun = values.long ? await measureLongRun(directory, 2_000_000) : null
const targets = targetsOf({ comparisons, filled, archiving, workflows, replicated, longRun })
printReport({ comparisons, filled, archiving, workflows, replicated, longRun, targets })
if (values.json !== undefined) writeJson(values.json, figures())
process.exit(0)

async function runEndurance(): Promise<never> {
  const run = await measureEndurance({
    directory,
    minutes: number('minutes'),
    concurrency: values.concurrency === undefined ? 64 : number('concurrency', { min: 1, isWhole: true }),
    pauseMs: number('pause'),
    segmentBytes: number('segment-mib', { min: 1, isWhole: true }) * mebibyte,
    maxJournalBytes: number('journal-mib', { min: 1, isWhole: true }) * mebibyte,
    progress,
  })
  const targets = enduranceTargets(run)
  printEndurance(run)
  printTargets(targets)
  if (values.json !== undefined) writeJson(values.json, { endurance: run, targets })
  process.exit(targets.every(({ isMet }) => isMet) ? 0 : 1)
}

function progress(text: string): void {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
  process.stderr.write(`${seconds.padStart(4)} s  ${text}\n`)
}

function writeJson(path: string, figures: object): void {
  const report = {
    node: process.version,
    ...commitOf(),
    cpus: { count: cpus().length, model: cpus()[0]?.model ?? null },
    seconds: (performance.now() - startedMs) / 1000,
    ...figures,
  }
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`)
}

function figures(): object {
  return {
    limit: comparisons.map(({ limit }) => limit),
    endToEnd: comparisons.map(({ endToEnd }) => endToEnd),
    hotKey: comparisons.find(({ hotKey }) => hotKey !== null)?.hotKey ?? null,
    readBack: filled.readBack,
    recovery: filled.recovery,
    archiving,
    workflows,
    replicated,
    memory: { ...filled.memory, longRun },
    ratios: ratiosOf(),
    targets,
    rounds: comparisons.map(({ concurrency, rounds }) => ({ concurrency, rounds })),
  }
}

/** Of the limit, by concurrency; the hot key's of end-to-end. */
function ratiosOf(): object {
  const by = (key: 'commandsPerSecond' | 'p50' | 'cpuPerCommand'): object =>
    Object.fromEntries(comparisons.map(({ concurrency, ratios }) => [concurrency, ratios[key]]))
  const hotKey = comparisons.find((comparison) => comparison.hotKey !== null)?.hotKey?.ratios.commandsPerSecond ?? null
  return { endToEnd: by('commandsPerSecond'), p50: by('p50'), cpuPerCommand: by('cpuPerCommand'), hotKey }
}

/** Null outside of a git clone. */
function commitOf(): { readonly commit: string | null; readonly isDirty: boolean | null } {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    return { commit: git('rev-parse', 'HEAD').trim(), isDirty: git('status', '--porcelain').length > 0 }
  } catch {
    return { commit: null, isDirty: null }
  }
}
