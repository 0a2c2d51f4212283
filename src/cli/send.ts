import type { ExecuteOptions } from '../client/options.ts'
import type { ClientOutcome } from '../ipc/call-codec.ts'
import { unreachable } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import { parseAggregate, parseInteger, readJson } from './arguments.ts'
import { exitCodes } from './exit-code.ts'
import { isPutOff, queueingOf } from './queueing.ts'
import type { Flags } from './settings.ts'
import { table } from './table.ts'
import { timeoutOf, withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

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
  const { idempotencyKey, wait, durability, expectedRevision, expectRevision } = flags as {
    readonly idempotencyKey?: string
    readonly wait?: NonNullable<ExecuteOptions['wait']>
    readonly durability?: NonNullable<ExecuteOptions['durability']>
    readonly expectedRevision?: string
    readonly expectRevision?: string
  }
  const revision = expectedRevision ?? expectRevision
  const queueing = queueingOf(flags)
  return {
    timeoutMs: timeoutOf(flags),
    ...queueing,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(isPutOff(queueing) ? { wait: 'received' } : {}),
    ...(wait === undefined ? {} : { wait }),
    ...(durability === undefined ? {} : { durability }),
    ...(revision === undefined ? {} : { expectedRevision: parseInteger('--expected-revision', revision) }),
  }
}

function exitCodeOf(terminal: Terminal, subject: string, outcome: ClientOutcome): number {
  switch (outcome.outcome) {
    case 'completed':
    case 'received':
      return exitCodes.done
    case 'rejected': {
      const { id, code, details = null } = outcome
      const shown = details === null ? '' : `; ${JSON.stringify(details)}`
      const message = `${subject} was rejected: ${code}: ${outcome.message}${shown}`
      terminal.fail(new CommanderError('command_rejected', message, { details: { id, code, details } }))
      return exitCodes.rejected
    }
    case 'parked':
    case 'skipped': {
      const advice = `commanderdb command get ${outcome.id} tells more`
      const message = `${subject} was ${outcome.outcome}: ${outcome.message}; ${advice}`
      const code = outcome.outcome === 'parked' ? 'command_parked' : 'command_skipped'
      terminal.fail(new CommanderError(code, message, { details: { id: outcome.id } }))
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
