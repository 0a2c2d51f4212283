import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type Database } from '../src/client.ts'
import { quantile } from './closed-loop.ts'
import { DatabaseProcess } from './database-process.ts'

/** How late, in milliseconds. */
export interface Lateness {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface TimerLateness {
  readonly timers: number
  /** All that were asked for must be here. */
  readonly fired: number
  /** Fired before its time: must be none. */
  readonly early: number
  /** From the time that a timer is due to its command being drafted by the dispatcher. */
  readonly firing: { readonly sleep: Lateness; readonly sleepUntil: Lateness }
  /** From the time that a timer is due to the workflow having gone on, in the application's process. */
  readonly goingOn: { readonly sleep: Lateness; readonly sleepUntil: Lateness }
  readonly wantedMs: number
  /** Processes that wanted a processor in the last minute: on an idle machine next to none. */
  readonly loadAverage: number
}

const wantedMs = 50
const module = join(import.meta.dirname, 'workflow-application.ts')
/** Between two that are due: not in step with any clock tick. */
const stepMs = 37.3
/** All are started by then. */
const firstAfterMs = 5_000
const lastEndsWithinMs = 30_000

/** Real processes with nothing to do but timers, half by `sleep`, half by `sleepUntil`, due one after the other. */
export async function measureLateness(directory: string, timers: number): Promise<TimerLateness> {
  const database = await DatabaseProcess.start({ dataDir: join(directory, 'lateness'), module })
  try {
    const db = await connect({ dataDir: database.dataDir })
    const startedMs = Date.now()
    await Promise.all(Array.from({ length: timers }, (_, i) => start(db, i, startedMs + firstAfterMs + i * stepMs)))
    await pause(startedMs + firstAfterMs + timers * stepMs - Date.now())
    const lateness = await read(db, timers)
    await db.close()
    return lateness
  } finally {
    await database.kill()
    database.remove()
  }
}

const isUntil = (i: number): boolean => i % 2 === 0

async function start(db: Database, i: number, atMs: number): Promise<void> {
  if (isUntil(i)) await db.workflow('sleeping').start(String(i), { untilMs: atMs })
  else await db.workflow('napping').start(String(i), { ms: atMs - Date.now() })
}

interface Found {
  readonly firingMs: number
  readonly goingOnMs: number
}

/** What the histories say, once all have ended. */
async function read(db: Database, timers: number): Promise<TimerLateness> {
  const until: Found[] = []
  const nap: Found[] = []
  const giveUpMs = performance.now() + lastEndsWithinMs
  for (let i = 0; i < timers; i++) {
    const name = isUntil(i) ? 'sleeping' : 'napping'
    const found = await foundOf(db, name, String(i), Math.max(1, giveUpMs - performance.now()))
    if (found !== null) (isUntil(i) ? until : nap).push(found)
  }
  const all = [...until, ...nap]
  const of = (list: readonly Found[], what: keyof Found): Lateness => latenessOf(list.map((one) => one[what]))
  return {
    timers,
    fired: all.length,
    early: all.filter(({ firingMs }) => firingMs < 0).length,
    firing: { sleep: of(nap, 'firingMs'), sleepUntil: of(until, 'firingMs') },
    goingOn: { sleep: of(nap, 'goingOnMs'), sleepUntil: of(until, 'goingOnMs') },
    wantedMs,
    loadAverage: loadavg()[0] ?? Number.NaN,
  }
}

/** null: it did not end in time. */
async function foundOf(db: Database, name: string, id: string, timeoutMs: number): Promise<Found | null> {
  try {
    await db.workflow(name).result(id, { timeoutMs })
  } catch (error) {
    console.error(error)
    return null
  }
  const { events } = await db.stream(`workflow:${name}`, id)
  const dataOf = (type: string): { readonly dueMs: number; readonly atMs: number } =>
    events.find((event) => event.type === type)?.data as never
  const { dueMs, atMs } = dataOf('timer/fired')
  return { firingMs: atMs - dueMs, goingOnMs: dataOf('workflow/completed').atMs - dueMs }
}

function latenessOf(ms: readonly number[]): Lateness {
  const sortedMs = Float64Array.from(ms).sort()
  const rounded = (share: number): number => Math.round(quantile(sortedMs, share) * 10) / 10
  return { p50Ms: rounded(0.5), p99Ms: rounded(0.99), maxMs: rounded(1) }
}
