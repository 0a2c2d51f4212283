import type { QueueView } from '../client/options.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { table } from './table.ts'
import { withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Prints all schedules, with the next time of each. */
export async function listSchedules(terminal: Terminal, flags: Flags): Promise<number> {
  const found = await withDatabase(flags, (db) => db.schedules())
  const rows = found.map(({ name, cron, timezone, workflow, nextAt, lastAt, running, waiting, isHosted }) => [
    name,
    cron,
    timezone,
    workflow,
    isHosted ? nextAt : 'no instance runs its workflow',
    lastAt,
    running,
    waiting,
  ])
  const head = ['schedule', 'cron', 'time zone', 'workflow', 'next', 'last', 'running', 'waiting']
  await terminal.out(flags['json'] === true ? `${JSON.stringify(found)}\n` : table(head, rows))
  return exitCodes.done
}

/** Prints the partitions of queues: what waits in them, and what runs. */
export async function listQueues(terminal: Terminal, flags: Flags): Promise<number> {
  const found = await withDatabase(flags, (db) => db.queues())
  const rows = found.map((one) => [
    one.queue,
    one.partition === '' ? null : one.partition,
    one.waiting,
    one.running,
    one.concurrency,
    rateText(one),
  ])
  const head = ['queue', 'partition', 'waiting', 'running', 'at once', 'rate limit']
  await terminal.out(flags['json'] === true ? `${JSON.stringify(found)}\n` : table(head, rows))
  return exitCodes.done
}

const rateText = ({ rateLimit }: QueueView): string | null =>
  rateLimit === null ? null : `${rateLimit.limit} in ${rateLimit.periodMs} ms`
