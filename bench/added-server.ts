import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ClusterProcesses } from './cluster.ts'
import type { DatabaseProcess } from './database-process.ts'
import { type FullLoadOptions, loadOf } from './full-load.ts'

export interface AddedServerOptions extends FullLoadOptions {
  readonly directory: string
  readonly progress: (text: string) => void
}

export interface AddedServerFigures {
  /** Commands a second while the group got a fourth server, and just before and after. */
  readonly before: number
  readonly during: number
  readonly after: number
  /** Of the mean of before and after. */
  readonly ratio: number
  /** Of the command line's verb, its start included. */
  readonly verbMs: number
}

const commandLine = join(import.meta.dirname, '..', 'src', 'cli', 'commanderdb.mjs')
const run = promisify(execFile)

/** An operator adds a server to the group of the open segment, under full load. */
export function measureAddedServer(options: AddedServerOptions): Promise<AddedServerFigures> {
  options.progress('a server added under load')
  const cluster = { directory: join(options.directory, 'added'), nodes: ['a'], servers: 4 }
  return ClusterProcesses.use(cluster, async (running) => {
    const node = running.node(0)
    const load = async (): Promise<number> => (await loadOf(options, node)).result.commandsPerSecond
    const before = await load()
    const changed = addServer(node, options.warmupSeconds)
    const during = await load()
    const verbMs = await changed
    const after = await load()
    return { before, during, after, ratio: (2 * during) / (before + after), verbMs }
  })
}

/** Within the measured time, which begins after the client's start and its warm-up. */
async function addServer({ dataDir }: DatabaseProcess, warmupSeconds: number): Promise<number> {
  await pause((warmupSeconds + 1) * 1000)
  const startMs = performance.now()
  const placement = ['--replicas', '4', '--ack-quorum', '2', '--data-dir', dataDir, '--json']
  await run(process.execPath, [commandLine, 'cluster', 'reconfigure', ...placement])
  return performance.now() - startMs
}
