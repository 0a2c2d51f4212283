import { join } from 'node:path'
import { DatabaseProcess, databaseClient } from './database-process.ts'
import { LimitProcesses, limitClient } from './limit/limit-processes.ts'
import { type Load, runLoad } from './load.ts'
import { median } from './median.ts'
import { accounts } from './workload.ts'

export interface ComparisonOptions {
  /** An empty directory on the disk to measure. */
  readonly directory: string
  readonly concurrencies: readonly number[]
  readonly rounds: number
  readonly warmupSeconds: number
  readonly seconds: number
  /** At this concurrency, all commands also go to one account, next to the run on many. */
  readonly hotKeyConcurrency: number
  readonly progress: (text: string) => void
}

/** Of one run, or the medians of all rounds, figure by figure. */
export interface Figures {
  readonly concurrency: number
  readonly commandsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all processes, the client included. */
  readonly cpuMicrosPerCommand: number
  /** How many processors worked on something else meanwhile. */
  readonly othersCpus: number
}

/** Medians of the ratios of the rounds: neighbours in time are compared, not the medians of different minutes. */
export interface Ratios {
  readonly commandsPerSecond: number
  readonly p50: number
  readonly cpuPerCommand: number
}

export interface ConcurrencyComparison {
  readonly concurrency: number
  readonly limit: Figures
  readonly endToEnd: Figures
  readonly ratios: Ratios
  /** Its ratios are to `endToEnd`. */
  readonly hotKey: (Figures & { readonly ratios: Ratios }) | null
  readonly rounds: readonly Round[]
}

interface Round {
  readonly limit: Figures
  readonly endToEnd: Figures
  /** Between two runs on many accounts, so that a database that grows warmer favours neither. */
  readonly hotKey: { readonly hot: Figures; readonly endToEndAgain: Figures } | null
}

/** Runs everything once, so that every process that is measured finds its code compiled. */
export async function keepCompiledCode(options: ComparisonOptions): Promise<void> {
  options.progress('keeping compiled code')
  const brief = { ...options, warmupSeconds: 0, seconds: 0.2, hotKeyConcurrency: 0 }
  await runLimit(brief, 1)
  await runDatabase(brief, 1)
}

/** The limit and the database by turns, at each concurrency, every time from an empty directory. */
export async function compareWithLimit(options: ComparisonOptions): Promise<readonly ConcurrencyComparison[]> {
  const comparisons: ConcurrencyComparison[] = []
  for (const concurrency of options.concurrencies) {
    const rounds: Round[] = []
    for (let n = 0; n < options.rounds; n++) rounds.push(await runRound(options, concurrency, n))
    comparisons.push(summaryOf(concurrency, rounds))
  }
  return comparisons
}

/** Whoever is first changes, so that what rises or falls with time touches both alike. */
async function runRound(options: ComparisonOptions, concurrency: number, n: number): Promise<Round> {
  options.progress(`concurrency ${concurrency}, round ${n + 1} of ${options.rounds}`)
  if (n % 2 === 0) {
    const limit = await runLimit(options, concurrency)
    return { limit, ...(await runDatabase(options, concurrency)) }
  }
  const database = await runDatabase(options, concurrency)
  return { limit: await runLimit(options, concurrency), ...database }
}

async function runLimit(options: ComparisonOptions, concurrency: number): Promise<Figures> {
  const limit = await LimitProcesses.start(join(options.directory, 'limit'))
  try {
    const order = orderOf(options, limit.dataDir, concurrency, accounts)
    return figuresOf(await runLoad({ program: limitClient, order, processes: limit.processes() }))
  } finally {
    await limit.stop()
    limit.remove()
  }
}

async function runDatabase(options: ComparisonOptions, concurrency: number): Promise<Omit<Round, 'limit'>> {
  const database = await DatabaseProcess.start({ dataDir: join(options.directory, 'database') })
  try {
    const processes = await database.processes()
    const run = async (accountsUsed: number): Promise<Figures> => {
      const order = orderOf(options, database.dataDir, concurrency, accountsUsed)
      return figuresOf(await runLoad({ program: databaseClient, order, processes }))
    }
    const endToEnd = await run(accounts)
    if (concurrency !== options.hotKeyConcurrency) return { endToEnd, hotKey: null }
    return { endToEnd, hotKey: { hot: await run(1), endToEndAgain: await run(accounts) } }
  } finally {
    await database.kill()
    database.remove()
  }
}

function orderOf(
  { warmupSeconds, seconds }: ComparisonOptions,
  dataDir: string,
  concurrency: number,
  accountsUsed: number,
): Parameters<typeof runLoad>[0]['order'] {
  return { dataDir, accounts: accountsUsed, concurrency, length: { seconds }, warmupSeconds }
}

function figuresOf({ result, cpuMicrosPerCommand, othersCpus }: Load): Figures {
  const { concurrency, commandsPerSecond, p50Ms, p99Ms } = result
  return { concurrency, commandsPerSecond, p50Ms, p99Ms, cpuMicrosPerCommand, othersCpus }
}

function summaryOf(concurrency: number, rounds: readonly Round[]): ConcurrencyComparison {
  return {
    concurrency,
    limit: medianFigures(rounds.map(({ limit }) => limit)),
    endToEnd: medianFigures(rounds.map(({ endToEnd }) => endToEnd)),
    ratios: ratiosOf(rounds.map(({ limit, endToEnd }) => [endToEnd, limit])),
    hotKey: hotKeyOf(rounds),
    rounds,
  }
}

function hotKeyOf(rounds: readonly Round[]): ConcurrencyComparison['hotKey'] {
  const pairs = rounds.flatMap(({ hotKey, endToEnd }): [Figures, Figures][] =>
    hotKey === null ? [] : [[hotKey.hot, meanFigures(endToEnd, hotKey.endToEndAgain)]],
  )
  return pairs.length === 0 ? null : { ...medianFigures(pairs.map(([hot]) => hot)), ratios: ratiosOf(pairs) }
}

/** The median of two is their mean. */
const meanFigures = (a: Figures, b: Figures): Figures => medianFigures([a, b])

function medianFigures(runs: readonly Figures[]): Figures {
  const of = (key: keyof Figures): number => median(runs.map((run) => run[key]))
  return {
    concurrency: of('concurrency'),
    commandsPerSecond: of('commandsPerSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    cpuMicrosPerCommand: of('cpuMicrosPerCommand'),
    othersCpus: of('othersCpus'),
  }
}

function ratiosOf(pairs: readonly (readonly [Figures, Figures])[]): Ratios {
  const of = (key: keyof Figures): number => median(pairs.map(([figures, to]) => figures[key] / to[key]))
  return { commandsPerSecond: of('commandsPerSecond'), p50: of('p50Ms'), cpuPerCommand: of('cpuMicrosPerCommand') }
}
