import type { ArchivingFigures } from './archiving.ts'
import type { ConcurrencyComparison } from './comparison.ts'
import type { FilledFigures } from './filled.ts'
import type { LongRun } from './long-run.ts'
import type { ReplicatedFigures } from './replicated.ts'
import type { WorkflowFigures } from './workflows.ts'

export interface Target {
  readonly name: string
  readonly value: number
  readonly bound: 'at least' | 'at most'
  readonly target: number
  readonly unit: string
  readonly isMet: boolean
}

export interface Measured {
  readonly comparisons: readonly ConcurrencyComparison[]
  readonly filled: FilledFigures
  readonly archiving: ArchivingFigures
  readonly workflows: WorkflowFigures
  readonly replicated: ReplicatedFigures
  readonly longRun: LongRun | null
}

/** What the database is meant to reach. One run on a busy machine misses some: judge by several. */
export function targetsOf({
  comparisons,
  filled,
  archiving,
  workflows,
  replicated,
  longRun,
}: Measured): readonly Target[] {
  const at = (concurrency: number): ConcurrencyComparison | undefined =>
    comparisons.find((comparison) => comparison.concurrency === concurrency)
  const { memory, readBack, recovery } = filled
  const targets = [
    atLeast('end-to-end at 1024, of the limit', at(1024)?.ratios.commandsPerSecond, 0.5, ''),
    atLeast('end-to-end at 64, of the limit', at(64)?.ratios.commandsPerSecond, 0.5, ''),
    atLeast('hot key at 64, of end-to-end', at(64)?.hotKey?.ratios.commandsPerSecond, 0.7, ''),
    atMost('p50 at 1, of the limit', at(1)?.ratios.p50, 1.7, ''),
    atLeast('read-back', readBack.eventsPerSecond, 300_000, 'events/s'),
    atMost('recovery to the first command', recovery.milliseconds, 2000, 'ms'),
    atLeast('with archive, of without', archiving.ratio, 0.9, ''),
    atLeast('workflows of 3 requests', workflows.workflowsPerSecond, 5_000, '/s'),
    atLeast('workflows, of end-to-end commands', workflows.ratio, 0.15, ''),
    atMost('p50 of a workflow alone', workflows.aloneP50Ms, 12, 'ms'),
    atMost('memory of 100,000 that sleep', workflows.sleeping.moreMiB, 300, 'MiB'),
    atMost('until all of them have resumed', workflows.sleeping.allResumedSeconds, 30, 's'),
    atMost('a killed workflow resumes within', workflows.resumeMs, 2000, 'ms'),
    atMost('memory, idle', memory.idlePssMiB, 450, 'MiB'),
    atMost('memory, under load', memory.loadPssMiB, 900, 'MiB'),
    ...replicatedTargets(replicated),
    ...(longRun === null
      ? []
      : [
          atMost('memory, the most in the long run', longRun.mostMiB, 900, 'MiB'),
          atMost('memory, last fifth of second fifth', longRun.toMiB / longRun.fromMiB, 1.1, ''),
          atMost('journal on disk, of what it may take', longRun.journalBytes / longRun.journalBytesMax, 1, ''),
          atMost('recovery after the long run', longRun.recoveryMilliseconds, 3000, 'ms'),
        ]),
  ]
  // Of a run at other concurrencies, some are not there.
  return targets.filter(({ value }) => !Number.isNaN(value))
}

/** The lease of a leader is 2 s. */
export function replicatedTargets({ ratio, ...more }: ReplicatedFigures): readonly Target[] {
  const { alone, appendLatency, failover, followerLag, addedServer } = more
  return [
    atLeast('replicated at 1024, of local', ratio, 0.4, ''),
    atMost('command alone, replicated, of local, p50', alone.ratio, 2.5, ''),
    atMost('append alone, replicated, of local, p50', appendLatency.ofLocal, 2.5, ''),
    atMost('failover, the longest', Math.max(...failover.all), 5000, 'ms'),
    atMost('deposits lost or twice over failovers', failover.wrong, 0, ''),
    atMost('lag of a follower at full load, p99', followerLag.p99Ms, 200, 'ms'),
    atLeast('while a server is added, of before', addedServer.ratio, 0.7, ''),
  ]
}

function atLeast(name: string, value = Number.NaN, target: number, unit: string): Target {
  return { name, value, bound: 'at least', target, unit, isMet: value >= target }
}

export function atMost(name: string, value = Number.NaN, target: number, unit: string): Target {
  return { name, value, bound: 'at most', target, unit, isMet: value <= target }
}
