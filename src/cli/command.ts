import type { CommandView } from '../client/options.ts'
import { parseInteger, parseSeconds } from './arguments.ts'
import { exitCodes } from './exit-code.ts'
import { oneLine } from './failure-text.ts'
import type { Flags } from './settings.ts'
import { list, table } from './table.ts'
import { withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Prints what is known of one command. */
export async function getCommand(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  const { wait } = flags as { readonly wait?: string }
  const options = wait === undefined ? {} : { waitMs: parseSeconds('--wait', wait) }
  const view = await withDatabase(flags, (db) => db.command(id, options))
  await terminal.out(flags['json'] === true ? `${JSON.stringify(view)}\n` : forPeople(view))
  return exitCodes.done
}

/** Lists parked or pending commands. */
export async function listCommands(terminal: Terminal, flags: Flags): Promise<number> {
  const {
    state = 'parked',
    limit,
    after,
  } = flags as { readonly state?: 'parked' | 'pending'; readonly limit?: string; readonly after?: string }
  const most = limit === undefined ? undefined : parseInteger('--limit', limit, 1)
  const first = after === undefined ? 0 : parseInteger('--after', after)
  const views = await withDatabase(flags, (db) => db.commands(state, most, first))
  const rows = views.map((view) => [view.id, view.status, whereOf(view), view.command, view.attempts, whyOf(view)])
  const head = ['id', 'status', 'aggregate', 'command', 'attempts', state === 'parked' ? 'reason' : 'waits for']
  await terminal.out(flags['json'] === true ? `${JSON.stringify(views)}\n` : table(head, rows))
  return exitCodes.done
}

/** Puts a parked command back, to be decided again. */
export async function retryCommand(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  await withDatabase(flags, (db) => db.retryCommand(id))
  await terminal.out(
    flags['json'] === true ? `${JSON.stringify({ id, retried: true })}\n` : `command ${id} is retried\n`,
  )
  return exitCodes.done
}

/** Gives a parked command up for good. */
export async function skipCommand(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  const { reason } = flags as { readonly reason?: string }
  await withDatabase(flags, (db) => db.skipCommand(id, reason))
  await terminal.out(
    flags['json'] === true ? `${JSON.stringify({ id, skipped: true })}\n` : `command ${id} is skipped\n`,
  )
  return exitCodes.done
}

const whereOf = ({ aggregate }: CommandView): string | null =>
  aggregate === null ? null : `${aggregate.type}/${aggregate.id}`

const reasonOf = ({ reason }: CommandView): string | null =>
  reason === undefined ? null : `${reason.code}: ${reason.message}`

const whyOf = (view: CommandView): string | null =>
  view.waitingFor === undefined ? reasonOf(view) : oneLine(view.waitingFor)

function forPeople(view: CommandView): string {
  const { id, status, command, attempts, endLsn, events = [] } = view
  const facts = list([
    ['command', id],
    ['status', status],
    ['aggregate', whereOf(view)],
    ['name', command],
    ['attempts', attempts],
    [status === 'parked' ? 'parked at' : 'ended at', endLsn === undefined ? null : `LSN ${endLsn}`],
    ['reason', reasonOf(view)],
    ...(view.waitingFor === undefined ? [] : [['waits for', oneLine(view.waitingFor)] as const]),
  ])
  if (events.length === 0) return facts
  const rows = events.map(({ globalPosition, revision, type, data }) => [
    globalPosition,
    revision,
    type,
    JSON.stringify(data),
  ])
  return `${facts}\n${table(['position', 'revision', 'event', 'data'], rows)}`
}
