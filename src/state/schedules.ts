import type { RegisteredSchedules, ScheduleForm, ScheduleOverlap } from '../actions/action.ts'
import { payloadOf } from '../actions/decode.ts'
import { keyOf, lsnOf, nameOf } from '../actions/entry-layout.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import { addMessagesOf, type OutboxSlice } from './outbox.ts'

/** The workflow that a schedule has started and that has not ended. */
export interface ScheduledRun {
  /** Aggregate key. */
  readonly key: string
  /** The entry that sends the command by which it is started. */
  readonly source: Lsn
  /** That command; 0 until it is received. */
  command: Lsn
}

export interface ScheduleState {
  readonly application: string
  readonly form: ScheduleForm
  /** The last time that has fired; times up to this one never fire again. */
  lastMs: number
  /** What the next time would overlap with. */
  running: ScheduledRun | null
  /** Times that wait for it to end. */
  queued: number[]
}

/** Remains when its application goes, so that what is missed meanwhile is known. */
export interface SchedulesSlice {
  readonly byName: Map<string, ScheduleState>
}

export const emptySchedules = (): SchedulesSlice => ({ byName: new Map() })

/** What an application registers is all that it has. */
export function registerSchedules(
  { byName }: SchedulesSlice,
  application: string,
  schedules: RegisteredSchedules | undefined,
): void {
  const { atMs, definitions } = schedules ?? { atMs: 0, definitions: [] }
  const names = new Set(definitions.map(({ name }) => name))
  for (const [name, known] of byName) if (known.application === application && !names.has(name)) byName.delete(name)
  for (const form of definitions) {
    const known = byName.get(form.name)
    if (known === undefined) {
      byName.set(form.name, { application, form, lastMs: atMs, running: null, queued: [] })
      continue
    }
    const isOther = known.form.cron !== form.cron || known.form.timezone !== form.timezone
    // Times of another pattern were never due before.
    byName.set(form.name, {
      ...known,
      application,
      form,
      lastMs: isOther ? Math.max(known.lastMs, atMs) : known.lastMs,
    })
  }
}

/** The `schedule/fired` at `o`. */
export function reduceFired({ byName }: SchedulesSlice, outbox: OutboxSlice, b: Buffer, o: number): void {
  const schedule = byName.get(nameOf(b, o))
  if (schedule === undefined) return
  const { scheduledMs, overlap } = payloadOf(b, o) as { scheduledMs: number; overlap: ScheduleOverlap }
  const { queued, running } = schedule
  if (queued[0] === scheduledMs) {
    if (running !== null) return
    queued.shift()
  } else {
    if (scheduledMs <= schedule.lastMs) return
    schedule.lastMs = scheduledMs
    if (overlap !== 'allow' && (running !== null || queued.length > 0)) {
      if (overlap === 'queue' && queued.length < limits.scheduledTimesMax) queued.push(scheduledMs)
      return
    }
  }
  const key = keyOf(b, o)
  addMessagesOf(outbox, b, o, key)
  if (overlap !== 'allow') schedule.running = { key, source: lsnOf(b, o), command: lsn(0) }
}

/** The command `at` was received, which the entry `source` sent. */
export function noteStart({ byName }: SchedulesSlice, source: Lsn, at: Lsn): void {
  for (const { running } of byName.values()) if (running?.source === source) running.command = at
}

/** A workflow has ended. */
export function endRun({ byName }: SchedulesSlice, key: string): void {
  for (const schedule of byName.values()) if (schedule.running?.key === key) schedule.running = null
}

/** A command was refused or given up: where it should have started a workflow, there is none. */
export function endStart({ byName }: SchedulesSlice, command: Lsn): void {
  for (const schedule of byName.values()) if (schedule.running?.command === command) schedule.running = null
}
