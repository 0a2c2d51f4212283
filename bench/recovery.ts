import { setTimeout as pause } from 'node:timers/promises'
import { connect, isCommanderError } from '../src/client.ts'
import { type DatabaseOptions, DatabaseProcess } from './database-process.ts'
import { deposit } from './workload.ts'

export interface FirstCommand {
  /** Of its completion. */
  readonly lsn: number
  /** From the start of the supervisor. */
  readonly milliseconds: number
}

/** Starts the database, measures until its first command is completed, and kills it. */
export async function startToFirstCommand(
  dataDir: string,
  options: Pick<DatabaseOptions, 'config' | 'module'> = {},
): Promise<FirstCommand> {
  const startedMs = performance.now()
  const starting = DatabaseProcess.start({ dataDir, ...options })
  try {
    const lsn = await firstCommand(dataDir)
    return { lsn, milliseconds: performance.now() - startedMs }
  } finally {
    const database = await starting
    await database.kill()
  }
}

export const accountOfFirstCommand: string = '1'
/** received, started, completed. */
export const entriesOfCommand: number = 3
const retryMs = 20
const patienceMs = 60_000

/** Asks again until somebody listens; the database answers when it can. @returns the LSN of the completion */
async function firstCommand(dataDir: string): Promise<number> {
  const untilMs = performance.now() + patienceMs
  for (;;) {
    try {
      const db = await connect({ dataDir })
      try {
        const { outcome, lsn } = await db.execute('account', accountOfFirstCommand, 'deposit', deposit)
        if (outcome !== 'completed') throw new Error(`the first command after the restart was ${outcome}`)
        return lsn
      } finally {
        await db.close()
      }
    } catch (error) {
      if (!isCommanderError(error) || !isNotThereYet(error.code) || performance.now() > untilMs) throw error
      await pause(retryMs)
    }
  }
}

const isNotThereYet = (code: string): boolean => code === 'no_database' || code === 'not_ready'
