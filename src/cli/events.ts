import type { Database } from '../client/options.ts'
import type { ClientEvent } from '../ipc/call-codec.ts'
import { parseAggregate, parseInteger } from './arguments.ts'
import { freshnessOf } from './consistency.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Prints all events, and with `--follow` those to come, until it is interrupted. */
export function events(terminal: Terminal, flags: Flags): Promise<number> {
  const { after, types, limit } = flags as { readonly after?: string; readonly types?: string; readonly limit?: string }
  const most = limit === undefined ? Number.POSITIVE_INFINITY : parseInteger('--limit', limit, 1)
  const names = types?.split(',').map((name) => name.trim())
  const options = {
    after: after === undefined ? 0 : parseInteger('--after', after),
    follow: flags['follow'] === true,
    ...freshnessOf(flags),
    ...(names === undefined ? {} : { types: names }),
  }
  return withDatabase(flags, async (db) => {
    let left = most
    for await (const batch of untilInterrupted(db, options)) {
      const shown = batch.slice(0, left)
      await print(terminal, shown, flags)
      left -= shown.length
      if (left === 0 || terminal.isClosed) break
    }
    return exitCodes.done
  })
}

async function* untilInterrupted(
  db: Database,
  options: Parameters<Database['eventBatches']>[0],
): AsyncGenerator<readonly ClientEvent[]> {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  process.once('SIGINT', abort).once('SIGTERM', abort)
  try {
    yield* db.eventBatches({ ...options, signal: controller.signal })
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort)
  }
}

/** Prints the events of one aggregate. */
export function readStream(terminal: Terminal, aggregate: string, flags: Flags): Promise<number> {
  const { type, id } = parseAggregate(aggregate)
  const { from, limit } = flags as { readonly from?: string; readonly limit?: string }
  const most = limit === undefined ? Number.POSITIVE_INFINITY : parseInteger('--limit', limit, 1)
  const first = from === undefined ? 1 : parseInteger('--from', from, 1)
  return withDatabase(flags, async (db) => {
    let next = first
    for (let left = most; left > 0 && !terminal.isClosed; ) {
      const { events: page, nextRevision } = await db.stream(type, id, { from: next, ...freshnessOf(flags) })
      if (page.length === 0) {
        if (next === first && flags['json'] !== true) terminal.warn(noEvents(aggregate, first))
        break
      }
      const shown = page.slice(0, left)
      await print(terminal, shown, flags)
      left -= shown.length
      next = nextRevision
    }
    return exitCodes.done
  })
}

const noEvents = (aggregate: string, first: number): string =>
  `${aggregate} has no events${first === 1 ? '' : ` from revision ${first} on`}`

/** One line an event: there may be millions, so no table of all of them. */
function print(terminal: Terminal, batch: readonly ClientEvent[], flags: Flags): Promise<void> {
  const line = flags['json'] === true ? JSON.stringify : lineOf
  return terminal.out(batch.map((event) => `${line(event)}\n`).join(''))
}

function lineOf({ globalPosition, at, aggregate, revision, type, data }: ClientEvent): string {
  const where = `${aggregate.type}/${aggregate.id}`
  return `${String(globalPosition).padStart(9)}  ${at}  ${where}  ${revision}  ${type}  ${JSON.stringify(data)}`
}
