import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Finder } from './mutant.ts'

/** How one test came out. */
export interface TestResult {
  readonly file: string
  /** With the names of its groups. */
  readonly name: string
  readonly status: string
  readonly failures: readonly string[]
  readonly durationMs: number
}

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly duration?: number | null
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

/** What a run of some tests may take before it is ended: far longer than they do. A mutant that hangs has not been found. */
const testsMsMax = 120_000
/** The same for many files, whose tests have bounds of their own. */
export const filesMsMax = 900_000

/** Runs some tests of the suite in a copy of the tree, as `npm test` does. What did not load or was not reached is not among the results. */
export function runTests(
  directory: string,
  finders: readonly Finder[],
  signal: AbortSignal,
  msMax: number = testsMsMax,
): Promise<readonly TestResult[]> {
  const names = finders.map(({ test }) => `^${pattern(test)}$`)
  const files = new Set(finders.map(({ file }) => file))
  return vitest(directory, ['--testNamePattern', [...new Set(names)].join('|'), ...files], signal, msMax)
}

/** Runs all tests of a file. */
export function runFile(directory: string, file: string, signal: AbortSignal): Promise<readonly TestResult[]> {
  return vitest(directory, [file], signal, filesMsMax)
}

async function vitest(
  directory: string,
  chosen: readonly string[],
  signal: AbortSignal,
  msMax: number,
): Promise<readonly TestResult[]> {
  const report = join(directory, 'report.json')
  rmSync(report, { force: true })
  await run(directory, { signal, timeout: msMax }, [
    ...['run', '--config', 'test/vitest.config.ts', '--root', '.', '--maxWorkers=1'],
    ...['--reporter=json', `--outputFile=${report}`],
    // What a cache knows of a file may be older than the mutant in it; and it would lie in the node_modules of all.
    ...['--cache=false', '--fsModuleCache=false'],
    ...chosen,
  ])
  if (!existsSync(report)) return []
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ fullName, status, duration, failureMessages }) => ({
      file: relative(directory, name),
      name: fullName,
      status,
      failures: failureMessages ?? [],
      durationMs: duration ?? 0,
    })),
  )
}

function run(
  directory: string,
  limits: { readonly signal: AbortSignal; readonly timeout: number },
  args: readonly string[],
): Promise<void> {
  const bin = join(directory, 'node_modules', 'vitest', 'vitest.mjs')
  const { TEST_RESULTS: _, ...env } = process.env
  const options = { cwd: directory, env: { ...env, NO_COLOR: '1' }, stdio: 'ignore' } as const
  const child = spawn(process.execPath, [bin, ...args], { ...options, ...limits })
  return new Promise((resolve, reject) => {
    // Told of an abort too, before the tests have ended: until then they are at work in the copy.
    child.once('error', (error) => {
      if (child.pid === undefined) reject(error)
    })
    child.once('exit', () => (limits.signal.aborted ? reject(limits.signal.reason) : resolve()))
  })
}

/** Matched against names in which another sign than in the report stands between groups. */
const pattern = (name: string): string => name.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&').replaceAll(' ', '( > | )')
