import type { Action } from '../actions/action.ts'
import { pack } from '../actions/message-pack.ts'
import type { Environment, Timer } from '../kernel/environment.ts'
import { messageOf } from '../kernel/errors.ts'
import type { RootState } from '../state/root.ts'
import type { ScheduleState } from '../state/schedules.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import { identityOf, ScheduleTimes } from './schedule-times.ts'

export interface ScheduleDeskOptions {
  readonly environment: Environment
  readonly state: RootState
  readonly draft: (action: Action) => void
  /** Something is due: `draft` is to be called when drafts are taken. */
  readonly due: () => void
  /** Looked at the wall clock, at least so often: it may jump. */
  readonly lookMs: number
}

/**
 * Fires schedules. Drafted from the state alone, one time of a schedule after the other; a second draft of the same time
 * is void, so each time fires once.
 */
export class ScheduleDesk {
  readonly #o: ScheduleDeskOptions
  readonly #times = new Map<string, ScheduleTimes>()
  /** In a draft that has not come back. */
  readonly #underWay = new Set<string>()
  #mayBeDue = true
  #someWait = false
  #timer: Timer | null = null

  constructor(options: ScheduleDeskOptions) {
    this.#o = options
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** After a new connection, when drafts may have been lost. */
  restart(): void {
    this.#underWay.clear()
    this.#mayBeDue = true
  }

  /** The draft of a time has come back, to some effect or none. */
  fired(schedule: string): void {
    this.#underWay.delete(schedule)
    this.#mayBeDue = true
  }

  /** Something has ended, which a time may have waited for. */
  ended(): void {
    if (this.#someWait) this.#mayBeDue = true
  }

  /** An instance has come or gone. */
  changed(): void {
    this.#mayBeDue = true
  }

  /** Drafts what is due. Only while drafts are taken. */
  draft(): void {
    const { byName } = this.#o.state.schedules
    if (!this.#mayBeDue || byName.size === 0) return
    this.#mayBeDue = false
    this.#someWait = false
    const nowMs = this.#o.environment.clock.wallMs()
    let waitMs = this.#o.lookMs
    for (const schedule of byName.values()) {
      if (schedule.queued.length > 0) this.#someWait = true
      if (this.#underWay.has(schedule.form.name) || !this.#isHosted(schedule)) continue
      const next = this.#nextOf(schedule, nowMs)
      if (next === null) continue
      if (next <= nowMs) this.#fire(schedule, next, nowMs)
      else waitMs = Math.min(waitMs, next - nowMs)
    }
    this.#timer?.cancel()
    this.#timer = this.#o.environment.scheduler.after(waitMs, () => {
      this.#mayBeDue = true
      this.#o.due()
    })
  }

  /** Without a host a time passes, and is one that was missed: starts would pile up. */
  #isHosted({ form }: ScheduleState): boolean {
    return this.#o.state.applications.hostsByType.has(workflowType(form.workflow))
  }

  #nextOf(schedule: ScheduleState, nowMs: number): number | null {
    const [queued] = schedule.queued
    if (queued !== undefined && schedule.running === null) return queued
    return this.#timesOf(schedule)?.next(schedule, nowMs) ?? null
  }

  #timesOf({ form }: ScheduleState): ScheduleTimes | null {
    const known = this.#times.get(form.name)
    if (known?.identity === identityOf(form)) return known
    try {
      const times = new ScheduleTimes(form)
      this.#times.set(form.name, times)
      return times
    } catch (error) {
      // It was checked where it was defined; a time zone that this machine does not know must not end the dispatcher.
      const { cron, timezone } = form
      this.#o.environment.log.error(
        { schedule: form.name, cron, timezone },
        `schedule stands still: ${messageOf(error)}`,
      )
      return null
    }
  }

  #fire({ form, running }: ScheduleState, scheduledMs: number, atMs: number): void {
    const { name, workflow, overlap, input, partition } = form
    this.#underWay.add(name)
    const aggregate = { type: workflowType(workflow), id: `${name}-${new Date(scheduledMs).toISOString()}` }
    if (running !== null && overlap === 'skip')
      this.#o.environment.log.info({ schedule: name, running: running.key }, 'schedule left a time out')
    const place = partition === undefined ? {} : { partition }
    const message = { to: aggregate, command: 'start', data: Buffer.from(pack({ input })), ...place }
    this.#o.draft({
      type: 'schedule/fired',
      schedule: name,
      scheduledMs,
      atMs,
      overlap,
      aggregate,
      messages: [message],
    })
  }
}
