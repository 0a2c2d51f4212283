import type { DatabaseProcess } from './database-process.ts'
import type { ProcessName } from './load.ts'
import { median } from './median.ts'
import { readPssMiB } from './process-usage.ts'

/** Proportional set size of the database's processes, the supervisor included and the client not, in MiB. */
export interface MemorySample {
  readonly atSeconds: number
  readonly together: number
  readonly byProcess: Readonly<Record<string, number>>
}

export function sampleMemory(processes: readonly ProcessName[], startedMs: number = performance.now()): MemorySample {
  const byProcess = Object.fromEntries(processes.map(({ name, pid }) => [name, readPssMiB(pid)]))
  const together = Object.values(byProcess).reduce((sum, value) => sum + value, 0)
  return { atSeconds: (performance.now() - startedMs) / 1000, together, byProcess }
}

const intervalMs = 500

/** Samples while `work` goes on, and once more when it is done. */
export async function sampleMemoryWhile(
  database: DatabaseProcess,
  work: () => Promise<unknown>,
): Promise<readonly MemorySample[]> {
  const processes = await database.processes()
  const startedMs = performance.now()
  const samples: MemorySample[] = []
  const timer = setInterval(() => samples.push(sampleMemory(processes, startedMs)), intervalMs)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return [...samples, sampleMemory(processes, startedMs)]
}

export function largest(samples: readonly MemorySample[]): MemorySample {
  return samples.reduce((most, sample) => (sample.together > most.together ? sample : most))
}

export interface Growth {
  /** Medians of the second and of the last fifth of the samples: in the first one, caches and heaps find their size. */
  readonly fromMiB: number
  readonly toMiB: number
  readonly byProcess: Readonly<Record<string, { readonly fromMiB: number; readonly toMiB: number }>>
}

export function growthOf(samples: readonly MemorySample[]): Growth {
  const between = (of: (sample: MemorySample) => number): { readonly fromMiB: number; readonly toMiB: number } => ({
    fromMiB: median(fifth(samples, 1).map(of)),
    toMiB: median(fifth(samples, 4).map(of)),
  })
  const names = Object.keys(samples[0]?.byProcess ?? {})
  const byProcess = Object.fromEntries(
    names.map((name) => [name, between((sample) => sample.byProcess[name] ?? Number.NaN)]),
  )
  return { ...between(({ together }) => together), byProcess }
}

function fifth<T>(values: readonly T[], n: number): readonly T[] {
  return values.slice(Math.floor((values.length * n) / 5), Math.ceil((values.length * (n + 1)) / 5))
}
