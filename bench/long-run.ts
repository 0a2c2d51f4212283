import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { defaultJournalOptions } from '../src/journal/options.ts'
import { DatabaseProcess } from './database-process.ts'
import { fill } from './filled.ts'
import { type Growth, growthOf, largest, type MemorySample, sampleMemoryWhile } from './memory.ts'
import { startToFirstCommand } from './recovery.ts'

export interface LongRun extends Growth {
  readonly commands: number
  readonly commandsPerSecond: number
  /** The most at any time, in MiB. */
  readonly mostMiB: number
  /** The most that the journal took on disk, in bytes, and what it may take: its limit and one segment. */
  readonly journalBytes: number
  readonly journalBytesMax: number
  /** After kill -9 of everything, from the start of the supervisor to the first new command completed. */
  readonly recoveryMilliseconds: number
  readonly samples: readonly MemorySample[]
}

const { segmentBytes, maxBytes } = defaultJournalOptions
const lookMs = 200

/** A new database under full load for so many commands, then killed and recovered. */
export async function measureLongRun(directory: string, commands: number): Promise<LongRun> {
  const database = await DatabaseProcess.start({ dataDir: join(directory, 'long-run') })
  const { dataDir } = database
  let journalBytes = 0
  const looking = setInterval(() => {
    journalBytes = Math.max(journalBytes, bytesOf(join(dataDir, 'journal')))
  }, lookMs)
  try {
    let commandsPerSecond = Number.NaN
    const samples = await sampleMemoryWhile(database, async () => {
      const { result } = await fill(dataDir, commands)
      commandsPerSecond = result.commandsPerSecond
    })
    await database.kill()
    const { milliseconds } = await startToFirstCommand(dataDir)
    return {
      commands,
      commandsPerSecond,
      ...growthOf(samples),
      mostMiB: largest(samples).together,
      journalBytes,
      journalBytesMax: maxBytes + segmentBytes,
      recoveryMilliseconds: milliseconds,
      samples,
    }
  } finally {
    clearInterval(looking)
    await database.kill()
    database.remove()
  }
}

/** Files come and go meanwhile. */
function bytesOf(directory: string): number {
  const sizes = readdirSync(directory).map(
    (name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0,
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
