import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../src/client.ts'
import { measuredEnvironment } from './compile-cache.ts'
import { DatabaseProcess, databaseClient } from './database-process.ts'
import { type Load, runLoad } from './load.ts'
import { median } from './median.ts'
import { largest, type MemorySample, sampleMemory, sampleMemoryWhile } from './memory.ts'
import type { ReadBack } from './read-back.ts'
import { entriesOfCommand, startToFirstCommand } from './recovery.ts'
import { accounts, deposit } from './workload.ts'

export interface FilledOptions {
  readonly directory: string
  /** Commands, and so events, that the database is filled with. */
  readonly commands: number
  readonly recoveries: number
  readonly readPasses: number
  readonly progress: (text: string) => void
}

export interface FilledFigures {
  readonly memory: {
    readonly idlePssMiB: number
    readonly idleByProcess: MemorySample['byProcess']
    /** The most while it was filled. */
    readonly loadPssMiB: number
    readonly loadByProcess: MemorySample['byProcess']
  }
  readonly recovery: {
    /** In the journal before those of the first new command; a few are of the restart itself. */
    readonly entries: number
    readonly events: number
    /** From the start of the supervisor to the first new command completed; the median of several restarts. */
    readonly milliseconds: number
    readonly all: readonly number[]
    /** The baseline, next to each restart: the same for a new, empty database. */
    readonly emptyStartMilliseconds: number
  }
  readonly readBack: ReadBack
}

const settleMs = 3000
const fillConcurrency = 1024

/** One database: its memory before and while it is filled; killed and recovered; then read from end to end. */
export async function measureFilled(options: FilledOptions): Promise<FilledFigures> {
  const { directory, commands, progress } = options
  progress('idle memory')
  const dataDir = join(directory, 'filled')
  const database = await DatabaseProcess.start({ dataDir })
  try {
    await pause(settleMs)
    const idle = sampleMemory(await database.processes())
    progress(`${commands} commands`)
    const samples = await sampleMemoryWhile(database, () => fill(dataDir, commands))
    await database.kill()
    const recoveries = await recoverRepeatedly(options, dataDir)
    progress('reading every event back')
    const most = largest(samples)
    return {
      memory: {
        idlePssMiB: idle.together,
        idleByProcess: idle.byProcess,
        loadPssMiB: most.together,
        loadByProcess: most.byProcess,
      },
      recovery: {
        entries: median(recoveries.map((recovery) => recovery.entries)),
        events: commands,
        milliseconds: median(recoveries.map((recovery) => recovery.milliseconds)),
        all: recoveries.map((recovery) => recovery.milliseconds),
        emptyStartMilliseconds: median(recoveries.map((recovery) => recovery.emptyStartMilliseconds)),
      },
      readBack: await readFrom(dataDir, commands, options.readPasses),
    }
  } finally {
    await database.kill()
    database.remove()
  }
}

/** Closed loop at full load until all are answered. */
export function fill(dataDir: string, commands: number): Promise<Load> {
  const order = { dataDir, accounts, concurrency: fillConcurrency, length: { commands }, warmupSeconds: 0 }
  return runLoad({ program: databaseClient, order, processes: [] })
}

/** Each time from a copy of what the kill left: a second restart of the same directory would find less to do. */
async function recoverRepeatedly(
  { recoveries, progress }: FilledOptions,
  dataDir: string,
): Promise<readonly Recovery[]> {
  const found: Recovery[] = []
  for (let n = 0; n < recoveries; n++) {
    progress(`recovery ${n + 1} of ${recoveries}`)
    const copy = `${dataDir}-${n + 1}`
    // Locks and sockets of the killed processes stay behind: they belong to the other path.
    for (const part of ['identity.json', 'journal', 'store']) {
      cpSync(join(dataDir, part), join(copy, part), { recursive: true, preserveTimestamps: true })
    }
    try {
      const { lsn, milliseconds } = await startToFirstCommand(copy)
      const empty = await startToFirstCommand(`${copy}-empty`)
      found.push({ entries: lsn - entriesOfCommand, milliseconds, emptyStartMilliseconds: empty.milliseconds })
    } finally {
      rmSync(copy, { recursive: true, force: true })
      rmSync(`${copy}-empty`, { recursive: true, force: true })
    }
  }
  return found
}

interface Recovery {
  readonly entries: number
  readonly milliseconds: number
  readonly emptyStartMilliseconds: number
}

/** In the directory of the kill itself; once the store has all events. */
async function readFrom(dataDir: string, commands: number, passes: number): Promise<ReadBack> {
  const database = await DatabaseProcess.start({ dataDir })
  try {
    const db = await connect({ dataDir })
    await db.execute('account', '1', 'deposit', deposit, { wait: 'applied' })
    await db.close()
    const reader = fork(join(import.meta.dirname, 'read-client.ts'), [dataDir, String(commands + 1), String(passes)], {
      env: measuredEnvironment(),
    })
    try {
      const [message] = await Promise.race([once(reader, 'message'), once(reader, 'exit')])
      if (typeof message !== 'object') throw new Error(`the reader ended with ${message} before it had a result`)
      return message as ReadBack
    } finally {
      reader.kill('SIGKILL')
    }
  } finally {
    await database.kill()
  }
}
