import { type DatabaseProcess, databaseClient } from './database-process.ts'
import { type Load, type ProcessName, runLoad } from './load.ts'
import { accounts } from './workload.ts'

export interface FullLoadOptions {
  readonly warmupSeconds: number
  readonly seconds: number
}

const fullConcurrency = 1024

/** As much as the database takes, or what `concurrency` callers give it. @param beside - whose processor time counts as well */
export async function loadOf(
  { warmupSeconds, seconds }: FullLoadOptions,
  database: DatabaseProcess,
  beside: readonly ProcessName[] = [],
  concurrency: number = fullConcurrency,
): Promise<Load> {
  const { dataDir } = database
  const order = { dataDir, accounts, concurrency, length: { seconds }, warmupSeconds }
  const processes = [...(await database.processes()), ...beside]
  return runLoad({ program: databaseClient, order, processes })
}
