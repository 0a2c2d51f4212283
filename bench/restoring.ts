import { fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { measuredEnvironment } from './compile-cache.ts'
import { DatabaseProcess } from './database-process.ts'
import { fill } from './filled.ts'
import type { RestoreEnd } from './restore-child.ts'

export interface RestoringOptions {
  readonly directory: string
  /** Commands of the database that is restored; about three entries each. */
  readonly commands: number
  readonly rounds: number
  readonly progress: (text: string) => void
}

/** One whole restore, by the command line in a process of its own. */
export interface RestoreFigures {
  readonly entries: number
  /** From the start of the process to its end: starting Node, copying, proving, replaying, and flushing the new database. */
  readonly totalSeconds: number
  /** Of all that. */
  readonly entriesPerSecond: number
  /** From the first segment that is brought to the last transaction. */
  readonly replaySeconds: number
  readonly replayedPerSecond: number
  /** Processor time of all threads, for each entry. */
  readonly cpuMicros: number
}

export interface RestoringFigures {
  readonly commands: number
  /** From the archive alone, from the first entry on. */
  readonly archive: readonly RestoreFigures[]
  /** From a backup of half of the commands, and on with the archive: most of it is copied, and not replayed. */
  readonly backup: readonly RestoreFigures[]
}

/** Fills a database that archives, with a backup in the middle, and restores it again and again. */
export async function measureRestoring(options: RestoringOptions): Promise<RestoringFigures> {
  const { directory, commands, rounds, progress } = options
  const [archive, backup] = [join(directory, 'archive'), join(directory, 'backup')]
  const database = await DatabaseProcess.start({
    dataDir: join(directory, 'restored-from'),
    config: { archive: { directory: archive } },
  })
  const { dataDir } = database
  try {
    progress(`${commands} commands, and a backup in the middle`)
    await fill(dataDir, commands >> 1)
    await commandLine('backup', backup, '--data-dir', dataDir, '--json')
    await fill(dataDir, commands - (commands >> 1))
    await commandLine('archive', '--data-dir', dataDir, '--json')
  } finally {
    await database.kill()
    database.remove()
  }
  const repeated = async (from: string): Promise<RestoreFigures[]> => {
    const figures: RestoreFigures[] = []
    for (let n = 0; n < rounds; n++) {
      progress(`restore of the ${from}, ${n + 1} of ${rounds}`)
      figures.push(await restoreOnce(join(directory, from), join(directory, `${from}-${n}`)))
    }
    return figures
  }
  // Each restore takes a timeline in the archive, and a later one would end where that began.
  return { commands, archive: await repeated('archive'), backup: await repeated('backup') }
}

/** Each round in a line: on a busy machine they differ. */
export function printRestoring({ archive, backup }: RestoringFigures): void {
  console.log('                 entries  total s  entries/s  replay s  replayed/s  cpu us/entry')
  for (const [name, rounds] of [
    ['archive', archive],
    ['backup', backup],
  ] as const) {
    for (const one of rounds) {
      const cells = [
        [one.entries.toFixed(0), 12],
        [one.totalSeconds.toFixed(2), 9],
        [one.entriesPerSecond.toFixed(0), 11],
        [one.replaySeconds.toFixed(2), 10],
        [one.replayedPerSecond.toFixed(0), 12],
        [one.cpuMicros.toFixed(1), 14],
      ] as const
      console.log(name.padEnd(12) + cells.map(([text, width]) => text.padStart(width)).join(''))
    }
  }
}

async function restoreOnce(from: string, dataDir: string): Promise<RestoreFigures> {
  const args = ['restore', from, '--timeline', '1', '--data-dir', dataDir, '--json']
  try {
    const { output, seconds, cpuMicros } = await commandLine(...args)
    const { entries, replayMs } = JSON.parse(output) as { readonly entries: number; readonly replayMs: number }
    return {
      entries,
      totalSeconds: seconds,
      entriesPerSecond: entries / seconds,
      replaySeconds: replayMs / 1000,
      replayedPerSecond: (entries * 1000) / replayMs,
      cpuMicros: cpuMicros / entries,
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}

interface Ended extends RestoreEnd {
  readonly output: string
  readonly seconds: number
}

async function commandLine(...args: readonly string[]): Promise<Ended> {
  const startMs = performance.now()
  const child = fork(join(import.meta.dirname, 'restore-child.ts'), args, { env: measuredEnvironment(), silent: true })
  let output = ''
  let complaints = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  let end: RestoreEnd | null = null
  child.on('message', (message) => {
    end = message as RestoreEnd
  })
  const [code] = (await once(child, 'close')) as [number | null]
  const seconds = (performance.now() - startMs) / 1000
  if (code !== 0 || end === null) throw new Error(`commanderdb ${args.join(' ')} ended with ${code}: ${complaints}`)
  return { ...(end as RestoreEnd), output, seconds }
}
