import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../src/client.ts'
import { DatabaseProcess, databaseClient } from './database-process.ts'
import { type Load, runLoad } from './load.ts'
import { median } from './median.ts'
import { sampleMemory } from './memory.ts'
import { accounts } from './workload.ts'

export interface WorkflowOptions {
  /** An empty directory on the disk to measure. */
  readonly directory: string
  readonly rounds: number
  readonly warmupSeconds: number
  readonly seconds: number
  /** Workflows that sleep at once. */
  readonly sleeping: number
  readonly progress: (text: string) => void
}

export interface WorkflowFigures {
  readonly concurrency: number
  readonly workflowsPerSecond: number
  readonly p50Ms: number
  /** Of the end-to-end commands per second at the same concurrency, next to it. */
  readonly ratio: number
  readonly cpuMicrosPerWorkflow: number
  /** At concurrency 1. */
  readonly aloneP50Ms: number
  readonly sleeping: {
    readonly workflows: number
    /** Proportional set size of all processes, with the workflows asleep less without. */
    readonly moreMiB: number
    /** From the start of the database after the last of them was due to the last one's end. */
    readonly allResumedSeconds: number
  }
  /** From SIGKILL of the application, in the middle of a request, to the end of the workflow. */
  readonly resumeMs: number
}

const concurrency = 256
const module = join(import.meta.dirname, 'workflow-application.ts')
const client = join(import.meta.dirname, 'workflow-client.ts')

/** Workflows of three requests that do nothing, beside commands on the same database; sleeping ones; one that is killed. */
export async function measureWorkflows(options: WorkflowOptions): Promise<WorkflowFigures> {
  const pairs: Pair[] = []
  for (let n = 0; n < options.rounds; n++) pairs.push(await measurePair(options, n))
  const sleeping = await measureSleeping(options)
  const resumes: number[] = []
  for (let n = 0; n < 3; n++) resumes.push(await measureResume(options, n))
  return {
    concurrency,
    workflowsPerSecond: median(pairs.map(({ workflows }) => workflows.result.commandsPerSecond)),
    p50Ms: median(pairs.map(({ workflows }) => workflows.result.p50Ms)),
    ratio: median(
      pairs.map(({ workflows, commands }) => workflows.result.commandsPerSecond / commands.result.commandsPerSecond),
    ),
    cpuMicrosPerWorkflow: median(pairs.map(({ workflows }) => workflows.cpuMicrosPerCommand)),
    aloneP50Ms: median(pairs.map(({ alone }) => alone.result.p50Ms)),
    sleeping,
    resumeMs: median(resumes),
  }
}

interface Pair {
  readonly commands: Load
  readonly workflows: Load
  readonly alone: Load
}

async function measurePair(options: WorkflowOptions, n: number): Promise<Pair> {
  options.progress(`workflows, round ${n + 1} of ${options.rounds}`)
  const database = await DatabaseProcess.start({ dataDir: join(options.directory, 'workflows'), module })
  try {
    const processes = await database.processes()
    const { dataDir } = database
    const { warmupSeconds, seconds } = options
    const load = (program: string, at: number): Promise<Load> =>
      runLoad({
        program,
        order: { dataDir, accounts, concurrency: at, length: { seconds }, warmupSeconds },
        processes,
      })
    const isFirst = n % 2 === 0
    const before = isFirst ? await load(databaseClient, concurrency) : null
    const workflows = await load(client, concurrency)
    const commands = before ?? (await load(databaseClient, concurrency))
    return { commands, workflows, alone: await load(client, 1) }
  } finally {
    await database.kill()
    database.remove()
  }
}

/** Processes that rest give memory back after two to three seconds. */
const settleMs = 5000
const startsUnderWay = 512
/** Long enough for all of them to be started and the database to be stopped. */
const sleepMs = 45_000

async function measureSleeping({
  directory,
  sleeping,
  progress,
}: WorkflowOptions): Promise<WorkflowFigures['sleeping']> {
  progress(`${sleeping} sleeping workflows`)
  const dataDir = join(directory, 'sleeping')
  const database = await DatabaseProcess.start({ dataDir, module })
  let running = database
  try {
    await pause(settleMs)
    const before = sampleMemory(await database.processes())
    const untilMs = Date.now() + sleepMs
    await startAll(dataDir, sleeping, untilMs)
    await pause(settleMs)
    const after = sampleMemory(await database.processes())
    await database.stop()
    progress('until they are due')
    await pause(Math.max(0, untilMs - Date.now()))
    const startedMs = performance.now()
    running = await DatabaseProcess.start({ dataDir, module })
    await allEnded(dataDir, sleeping)
    const allResumedSeconds = (performance.now() - startedMs) / 1000
    return { workflows: sleeping, moreMiB: after.together - before.together, allResumedSeconds }
  } finally {
    await running.kill()
    running.remove()
  }
}

async function startAll(dataDir: string, count: number, untilMs: number): Promise<void> {
  const db = await connect({ dataDir })
  const workflow = db.workflow('sleeping')
  let next = 0
  const starter = async (): Promise<void> => {
    while (next < count) await workflow.start(String(next++), { untilMs })
  }
  await Promise.all(Array.from({ length: startsUnderWay }, starter))
  await db.close()
}

async function allEnded(dataDir: string, count: number): Promise<void> {
  const db = await connect({ dataDir })
  let ended = 0
  for await (const events of db.eventBatches({ after: 0, follow: true, types: ['workflow/completed'] })) {
    ended += events.length
    if (ended >= count) break
  }
  await db.close()
}

/** Longer than anybody waits: only another attempt ends it in time. */
const longMs = 600_000
const underWayMs = 500

async function measureResume({ directory, progress }: WorkflowOptions, n: number): Promise<number> {
  progress(`a workflow whose process is killed, ${n + 1} of 3`)
  const dataDir = join(directory, 'resume')
  const database = await DatabaseProcess.start({ dataDir, module })
  try {
    const db = await connect({ dataDir })
    const workflow = db.workflow('interrupted')
    await workflow.start('1', { longMs })
    await pause(underWayMs)
    const application = (await database.processes()).find(({ name }) => name.startsWith('application-'))
    if (application === undefined) throw new Error('there is no application process to be killed')
    process.kill(application.pid, 'SIGKILL')
    const killedMs = performance.now()
    const attempt = await workflow.result('1')
    if (attempt !== 2) throw new Error(`the request was ended by attempt ${String(attempt)}, not by the second one`)
    const milliseconds = performance.now() - killedMs
    await db.close()
    return milliseconds
  } finally {
    await database.kill()
    database.remove()
  }
}
