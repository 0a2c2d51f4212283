import type { QueueView, ScheduleView } from '../ipc/client-views.ts'
import { parseCron } from '../kernel/cron.ts'
import { limits } from '../kernel/limits.ts'
import { laneKey } from '../state/queues.ts'
import type { RootState } from '../state/root.ts'
import type { ScheduleState } from '../state/schedules.ts'
import { isoTimeOrNull } from '../workflows/iso-time.ts'
import { isWorkflowType, workflowNameOf, workflowType } from '../workflows/workflow-names.ts'

/** All schedules, by their names. @param nowMs wall time */
export const schedulesOf = ({ schedules, applications }: RootState, nowMs: number): ScheduleView[] =>
  [...schedules.byName.values()]
    .map((schedule) =>
      scheduleView(schedule, applications.hostsByType.has(workflowType(schedule.form.workflow)), nowMs),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))

function scheduleView({ application, form, lastMs, running, queued }: ScheduleState, isHosted: boolean, nowMs: number) {
  const { name, cron, timezone, overlap, catchUp, workflow } = form
  const view = { name, application, workflow, cron, timezone, overlap, catchUp, isHosted, waiting: queued.length }
  const started = running === null ? null : workflowNameOf(running.key)
  try {
    const pattern = parseCron(cron, timezone)
    // It begins with the time at which it was first registered, which is none of its own.
    const lastAt = pattern.previous(lastMs, 1)[0] === lastMs ? isoTimeOrNull(lastMs) : null
    return { ...view, lastAt, nextAt: isoTimeOrNull(pattern.next(Math.max(lastMs, nowMs))), running: started }
  } catch {
    // A time zone that this machine does not know: it stands still, and the dispatcher has said so in its log.
    return { ...view, lastAt: null, nextAt: null, running: started }
  }
}

interface Counting {
  readonly name: string
  readonly partition: string
  waiting: number
  running: number
}

/** Partitions of queues in which something is, those in which most waits first; a queue without any has one that is empty. */
export function queuesOf({ queues, applications, commands }: RootState): QueueView[] {
  const lanes = new Map<string, Counting>()
  const laneOf = (name: string, partition: string): Counting => {
    const key = laneKey({ name, partition })
    const lane = lanes.get(key) ?? { name, partition, waiting: 0, running: 0 }
    lanes.set(key, lane)
    return lane
  }
  for (const { name, partition, taken } of queues.lanes.values()) laneOf(name, partition).running = taken
  for (const { place, token } of commands.byLsn.values())
    if (place !== null && token === 0) laneOf(place.name, place.partition).waiting++
  const used = new Set([...lanes.values()].map(({ name }) => name))
  for (const name of applications.queues.keys()) if (!used.has(name)) laneOf(name, '')
  return [...lanes.values()]
    .sort((a, b) => b.waiting - a.waiting || b.running - a.running || (laneKey(a) < laneKey(b) ? -1 : 1))
    .slice(0, limits.pageEventsMax)
    .map(({ name, ...lane }) => {
      const { concurrency = null, rateLimit = null } = applications.queues.get(name) ?? {}
      return { queue: queueText(name), ...lane, concurrency, rateLimit }
    })
}

/** A workflow has one command with a queue, its start. @param name as the state has it: type and command */
function queueText(name: string): string {
  const type = name.slice(0, name.lastIndexOf('/'))
  return isWorkflowType(type) ? workflowNameOf(type) : name
}
