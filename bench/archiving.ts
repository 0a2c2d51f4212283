import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../src/sdk/config.ts'
import { DatabaseProcess, databaseClient } from './database-process.ts'
import { runLoad } from './load.ts'
import { median } from './median.ts'
import { accounts } from './workload.ts'

export interface ArchivingOptions {
  readonly directory: string
  readonly rounds: number
  readonly warmupSeconds: number
  readonly seconds: number
  readonly progress: (text: string) => void
}

/** What checkpoints, the removal of segments and an archive in a directory cost. */
export interface ArchivingFigures {
  readonly concurrency: number
  /** Commands a second of each round. */
  readonly without: readonly number[]
  readonly with: readonly number[]
  /** The median of the rounds' ratios. */
  readonly ratio: number
}

const concurrency = 1024
const mebibyte = 1_048_576
/** A checkpoint for about every second segment: far more often than by default. */
const often: NonNullable<Config['journal']> = { maxJournalBytes: 512 * mebibyte, checkpointTimeoutMs: 2000 }
const never: NonNullable<Config['journal']> = { maxJournalBytes: 2 ** 40, checkpointTimeoutMs: 86_400_000 }

/** The same load by turns, each time from an empty directory; whoever is first alternates. */
export async function measureArchiving(options: ArchivingOptions): Promise<ArchivingFigures> {
  const without: number[] = []
  const withArchive: number[] = []
  for (let n = 0; n < options.rounds; n++) {
    options.progress(`archive, round ${n + 1} of ${options.rounds}`)
    const first = await run(options, n % 2 === 1)
    const second = await run(options, n % 2 === 0)
    without.push(n % 2 === 1 ? second : first)
    withArchive.push(n % 2 === 1 ? first : second)
  }
  const ratio = median(withArchive.map((value, n) => value / (without[n] ?? Number.NaN)))
  return { concurrency, without, with: withArchive, ratio }
}

async function run(options: ArchivingOptions, archives: boolean): Promise<number> {
  const { directory, warmupSeconds, seconds } = options
  const archive = join(directory, 'archive')
  const config = archives ? { journal: often, archive: { directory: archive } } : { journal: never }
  const database = await DatabaseProcess.start({ dataDir: join(directory, 'archiving'), config })
  try {
    const processes = await database.processes()
    const order = { dataDir: database.dataDir, accounts, concurrency, length: { seconds }, warmupSeconds }
    const { result } = await runLoad({ program: databaseClient, order, processes })
    return result.commandsPerSecond
  } finally {
    await database.kill()
    database.remove()
    rmSync(archive, { recursive: true, force: true })
  }
}
