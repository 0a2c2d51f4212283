import { join } from 'node:path'
import { DatabaseProcess } from './database-process.ts'
import { fill } from './filled.ts'
import { type Growth, growthOf, largest, type MemorySample, sampleMemoryWhile } from './memory.ts'

export interface LongRun extends Growth {
  readonly commands: number
  readonly commandsPerSecond: number
  /** The most at any time, in MiB. */
  readonly mostMiB: number
  readonly samples: readonly MemorySample[]
}

/** Memory of a new database under full load for so many commands. */
export async function measureLongRun(directory: string, commands: number): Promise<LongRun> {
  const database = await DatabaseProcess.start({ dataDir: join(directory, 'long-run') })
  try {
    let commandsPerSecond = Number.NaN
    const samples = await sampleMemoryWhile(database, async () => {
      const { result } = await fill(database.dataDir, commands)
      commandsPerSecond = result.commandsPerSecond
    })
    return { commands, commandsPerSecond, ...growthOf(samples), mostMiB: largest(samples).together, samples }
  } finally {
    await database.kill()
    database.remove()
  }
}
