import type { ArchivingFigures } from './archiving.ts'
import type { ConcurrencyComparison, Figures } from './comparison.ts'
import type { FilledFigures } from './filled.ts'
import type { LongRun } from './long-run.ts'
import type { ReplicatedFigures } from './replicated.ts'
import type { Target } from './targets.ts'
import type { WorkflowFigures } from './workflows.ts'

export interface Report {
  readonly comparisons: readonly ConcurrencyComparison[]
  readonly filled: FilledFigures
  readonly archiving: ArchivingFigures
  readonly workflows: WorkflowFigures
  readonly replicated: ReplicatedFigures
  readonly longRun: LongRun | null
  readonly targets: readonly Target[]
}

/** For people. Everything in it is in the JSON, too. */
export function printReport({ comparisons, filled, archiving, workflows, replicated, longRun, targets }: Report): void {
  printComparisons(comparisons)
  printFilled(filled)
  printArchiving(archiving)
  printWorkflows(workflows)
  printReplicated(replicated)
  if (longRun !== null) printLongRun(longRun)
  printTargets(targets)
}

export function printTargets(targets: readonly Target[]): void {
  console.log()
  for (const { name, value, bound, target, unit, isMet } of targets) {
    const wanted = `${bound} ${shown(target)} ${unit}`.trimEnd()
    console.log(`${isMet ? 'met   ' : 'MISSED'}  ${name.padEnd(40)}${shown(value).padStart(10)}  ${wanted}`)
  }
}

function printComparisons(comparisons: readonly ConcurrencyComparison[]): void {
  row('', ['commands/s', 'p50 ms', 'p99 ms', 'cpu us/command', 'of the limit', 'p50', 'cpu', 'others'])
  for (const { concurrency, limit, endToEnd, hotKey, ratios } of comparisons) {
    row(`limit, ${concurrency}`, [...cellsOf(limit), '', '', '', othersOf(limit)])
    const of = [ratios.commandsPerSecond, ratios.p50, ratios.cpuPerCommand]
    row(`end-to-end, ${concurrency}`, [
      ...cellsOf(endToEnd),
      ...of.map((value) => value.toFixed(2)),
      othersOf(endToEnd),
    ])
    if (hotKey === null) continue
    const ofEndToEnd = `(${hotKey.ratios.commandsPerSecond.toFixed(2)} of e2e)`
    row(`hot key, ${concurrency}`, [...cellsOf(hotKey), ofEndToEnd, '', '', othersOf(hotKey)])
  }
}

function printFilled({ memory, recovery, readBack }: FilledFigures): void {
  const { idleByProcess, loadByProcess } = memory
  console.log()
  row('memory (PSS), MiB', ['idle', 'under load'])
  for (const [name, idle] of Object.entries(idleByProcess)) {
    row(`  ${name}`, [idle.toFixed(0), (loadByProcess[name] ?? Number.NaN).toFixed(0)])
  }
  row('  together', [memory.idlePssMiB.toFixed(0), memory.loadPssMiB.toFixed(0)])
  const all = recovery.all.map((value) => value.toFixed(0)).join(', ')
  const empty = recovery.emptyStartMilliseconds.toFixed(0)
  console.log(
    `recovery of ${shown(recovery.entries)} entries: ${recovery.milliseconds.toFixed(0)} ms (${all}); start of an empty database: ${empty} ms`,
  )
  const first = shown(readBack.firstPassEventsPerSecond)
  console.log(
    `read-back of ${shown(readBack.events)} events: ${shown(readBack.eventsPerSecond)}/s (first pass ${first}/s)`,
  )
}

function printArchiving({ concurrency, without, with: withArchive, ratio }: ArchivingFigures): void {
  const all = (values: readonly number[]): string => values.map(shown).join(', ')
  console.log(
    `with checkpoints and archive, at ${concurrency}: ${all(withArchive)} commands/s; without: ${all(without)}; ratio ${ratio.toFixed(2)}`,
  )
}

function printWorkflows({ concurrency, workflowsPerSecond, p50Ms, ratio, ...more }: WorkflowFigures): void {
  const { aloneP50Ms, cpuMicrosPerWorkflow, sleeping, resumeMs } = more
  console.log(
    `workflows of 3 requests, at ${concurrency}: ${shown(workflowsPerSecond)}/s (${ratio.toFixed(2)} of e2e), p50 ${p50Ms.toFixed(2)} ms, ${cpuMicrosPerWorkflow.toFixed(0)} us; alone: p50 ${aloneP50Ms.toFixed(2)} ms`,
  )
  console.log(
    `${shown(sleeping.workflows)} that sleep: ${sleeping.moreMiB.toFixed(0)} MiB more, all resumed in ${sleeping.allResumedSeconds.toFixed(1)} s; after a kill one resumes in ${resumeMs.toFixed(0)} ms`,
  )
}

export function printReplicated({
  local,
  replicated,
  ratio,
  cpuMicrosPerCommand,
  alone,
  appendLatency,
  failover,
  followerLag,
  addedServer,
}: ReplicatedFigures): void {
  const all = (values: readonly number[]): string => values.map(shown).join(', ')
  const cpu = `${cpuMicrosPerCommand.replicated.toFixed(1)} us of processor time each, ${cpuMicrosPerCommand.local.toFixed(1)} us local`
  console.log(
    `replicated by 2 of 3 servers: ${all(replicated)} commands/s; local: ${all(local)}; ratio ${ratio.toFixed(2)}; ${cpu}`,
  )
  console.log(
    `a command alone: p50 ${alone.replicatedP50Ms.toFixed(2)} ms replicated, ${alone.localP50Ms.toFixed(2)} ms local; ratio ${alone.ratio.toFixed(2)}`,
  )
  const { localP50Ms, replicatedP50Ms, fileP50Ms, bareP50Ms, ofLocal, ofFile, ofBare } = appendLatency
  console.log(
    `an append: p50 ${replicatedP50Ms.toFixed(2)} ms replicated, ${localP50Ms.toFixed(2)} ms on this host; ratio ${ofLocal.toFixed(2)}`,
  )
  console.log(
    `beside it: ${fileP50Ms.toFixed(2)} ms into a bare journal file, ${bareP50Ms.toFixed(2)} ms by three bare processes; ratios ${ofFile.toFixed(2)} and ${ofBare.toFixed(2)}`,
  )
  console.log(`a planned switch under load: ${shown(failover.switchMs)} ms without a completed command`)
  console.log(
    `failover: ${all(failover.all)} ms; of ${shown(failover.acknowledged)} deposits ${failover.wrong} were lost or came twice`,
  )
  const { p50Ms, p99Ms, mostMs, samples } = followerLag
  console.log(
    `lag of a follower: p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, most ${mostMs.toFixed(0)} ms of ${samples}`,
  )
  const { before, during, after } = addedServer
  console.log(
    `a server added: ${shown(during)} commands/s meanwhile, ${shown(before)} before, ${shown(after)} after; ratio ${addedServer.ratio.toFixed(2)}`,
  )
}

function printLongRun(run: LongRun): void {
  const { commands, commandsPerSecond, byProcess, fromMiB, toMiB, mostMiB } = run
  console.log()
  row('long run, MiB', ['second fifth', 'last fifth'])
  for (const [name, growth] of Object.entries(byProcess)) {
    row(`  ${name}`, [growth.fromMiB.toFixed(0), growth.toMiB.toFixed(0)])
  }
  row('  together', [fromMiB.toFixed(0), toMiB.toFixed(0)])
  console.log(`${shown(commands)} commands at ${shown(commandsPerSecond)}/s; ${mostMiB.toFixed(0)} MiB at most`)
  const journal = `${(run.journalBytes / 1_048_576).toFixed(0)} MiB at most`
  console.log(`the journal took ${journal}; recovery: ${run.recoveryMilliseconds.toFixed(0)} ms`)
}

function cellsOf({ commandsPerSecond, p50Ms, p99Ms, cpuMicrosPerCommand }: Figures): string[] {
  return [shown(commandsPerSecond), p50Ms.toFixed(2), p99Ms.toFixed(2), cpuMicrosPerCommand.toFixed(1)]
}

const othersOf = ({ othersCpus }: Figures): string => othersCpus.toFixed(2)

function row(name: string, cells: readonly string[]): void {
  console.log(
    name.padEnd(24) +
      cells
        .map((cell) => cell.padStart(15))
        .join('')
        .trimEnd(),
  )
}

/** Two digits after the point below 100, none above. */
function shown(value: number): string {
  return Math.abs(value) < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en')
}
