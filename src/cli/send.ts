import type { ExecuteOptions } from '../client/options.ts'
import type { ClientOutcome } from '../ipc/call-codec.ts'
import { unreachable } from '../kernel/assert.ts'
import { parseAggregate, parseInteger, readJson } from './arguments.ts'
import { exitCodes } from './exit-code.ts'
import { isPutOff, queueingOf } from './queueing.ts'
import type { Flags } from './settings.ts'
import { table } from './table.ts'
import { timeoutOf, withDatabase } from './target.ts'
import { oneLine, type Terminal } from './terminal.ts'

/** Sends one command and prints what became of it. */
export async function send(
  terminal: Terminal,
  aggregate: string,
  command: string,
  json: string | undefined,
  flags: Flags,
): Promise<number> {
  const { type, id } = parseAggregate(aggregate)
  const data = await readJson(terminal.input, 'the data', json)
  const options = executeOptionsOf(flags)
  const outcome = await withDatabase(flags, (db) => db.execute(type, id, command, data, options))
  await terminal.out(flags['json'] === true ? `${JSON.stringify(outcome)}\n` : forPeople(outcome))
  return exitCodeOf(terminal, `${command} on ${aggregate}`, outcome)
}

function executeOptionsOf(flags: Flags): ExecuteOptions {
  const { idempotencyKey, wait, durability, expectRevision } = flags as {
    readonly idempotencyKey?: string
    readonly wait?: NonNullable<ExecuteOptions['wait']>
    readonly durability?: NonNullable<ExecuteOptions['durability']>
    readonly expectRevision?: string
  }
  const queueing = queueingOf(flags)
  return {
    timeoutMs: timeoutOf(flags),
    ...queueing,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(isPutOff(queueing) ? { wait: 'received' } : {}),
    ...(wait === undefined ? {} : { wait }),
    ...(durability === undefined ? {} : { durability }),
    ...(expectRevision === undefined ? {} : { expectedRevision: parseInteger('--expect-revision', expectRevision) }),
  }
}

function exitCodeOf(terminal: Terminal, subject: string, outcome: ClientOutcome): number {
  switch (outcome.outcome) {
    case 'completed':
    case 'received':
      return exitCodes.done
    case 'rejected': {
      const details = outcome.details == null ? '' : `; ${JSON.stringify(outcome.details)}`
      terminal.error(`commanderdb: ${subject} was rejected: ${outcome.code}: ${oneLine(outcome.message)}${details}\n`)
      return exitCodes.rejected
    }
    case 'parked':
    case 'skipped': {
      const advice = `commanderdb command get ${outcome.id} tells more`
      terminal.error(`commanderdb: ${subject} was ${outcome.outcome}: ${oneLine(outcome.message)}; ${advice}\n`)
      return exitCodes.failed
    }
    default:
      return unreachable(outcome)
  }
}

function forPeople(outcome: ClientOutcome): string {
  const { id, lsn, duplicate } = outcome
  const durability = 'durability' in outcome ? ` durability=${outcome.durability}` : ''
  const line = `${outcome.outcome}  id=${id} lsn=${lsn}${durability}${duplicate ? ' (outcome of an earlier call)' : ''}\n`
  if (outcome.outcome !== 'completed' || outcome.events.length === 0) return line
  const rows = outcome.events.map(({ globalPosition, revision, type, data }) => [
    globalPosition,
    revision,
    type,
    JSON.stringify(data),
  ])
  return `${line}${table(['position', 'revision', 'event', 'data'], rows)}`
}
