import { parseAggregateKey } from '../actions/aggregate-key.ts'
import { decodeReceived, eventsOf } from '../actions/decode.ts'
import { encodeAction, packEvents } from '../actions/encode.ts'
import { EntryBatch } from '../actions/entry-batch.ts'
import { flagsOf, keyOf, lengthOf, revisionOf, stampLsn, variantOf, wallMsOf } from '../actions/entry-layout.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { DecidedEvent } from '../sdk/aggregate-types.ts'
import { migrateCommand, migrateEvent } from '../sdk/migrate-event.ts'
import type { MigratedCommandContext, Migration } from '../sdk/migration.ts'

/** One event before and after. */
export interface RewrittenEvent {
  readonly aggregate: { readonly type: string; readonly id: string }
  readonly revision: number
  readonly globalPosition: number
  readonly version: number
  readonly before: DecidedEvent
  readonly after: DecidedEvent
}

/** Where a migration fails, and why. */
export interface MigrationFailure {
  /** For example `event "opened" of account/42 at revision 1 (position 7)`. */
  readonly where: string
  readonly message: string
}

/** Rewrites the events of one entry of the log; calls `failed` for each that cannot be. */
export function rewriteEvents(
  migration: Migration,
  b: Buffer,
  o: number,
  firstPosition: number,
  failed: (failure: MigrationFailure, type: string) => void,
): RewrittenEvent[] {
  const aggregate = parseAggregateKey(keyOf(b, o))
  const version = variantOf(b, o)
  const base = revisionOf(b, o)
  const at = new Date(wallMsOf(b, o)).toISOString()
  const rewritten: RewrittenEvent[] = []
  for (const [i, before] of eventsOf(b, o).entries()) {
    const place = { aggregate, revision: base + i + 1, globalPosition: firstPosition + i, version }
    try {
      rewritten.push({ ...place, before, after: migrateEvent(migration, before, { ...place, at }) })
    } catch (error) {
      const { type, id } = aggregate
      const where = `event "${before.type}" of ${type}/${id} at revision ${place.revision} (position ${place.globalPosition})`
      failed({ where, message: messageOf(error) }, before.type)
    }
  }
  return rewritten
}

/** @throws CommanderError `invalid_input` naming the event that could not be rewritten */
export function packRewritten(migration: Migration, b: Buffer, o: number, firstPosition: number): Buffer {
  const events = rewriteEvents(migration, b, o, firstPosition, ({ where, message }) => {
    throw new CommanderError('invalid_input', `the migration fails at ${where}: ${message}`)
  })
  return Buffer.from(packEvents(events.map(({ after }) => after)))
}

export interface RewrittenCommandForm {
  readonly before: { readonly command: string; readonly data: unknown }
  readonly after: { readonly command: string; readonly data: unknown }
  /** The whole `command/received` in its new form. */
  readonly received: Buffer
}

/**
 * Rewrites a `command/received` at `o`. What it says beside its command and data stays, its idempotency key too: who sends
 * it again in the old form is not told of a conflict.
 *
 * @throws CommanderError `invalid_input` naming the command that could not be rewritten
 */
export function rewriteCommand(
  migration: Migration,
  command: Lsn,
  b: Buffer,
  o: number,
  status: MigratedCommandContext['status'],
): RewrittenCommandForm {
  const received = decodeReceived(b, o)
  const { aggregate, command: name, data } = received
  try {
    const after = migrateCommand(migration, name, data, { aggregate, status, version: variantOf(b, o) })
    const batch = new EntryBatch(0, 1024)
    encodeAction(batch, { ...received, ...after, definitionVersion: migration.toVersion }, 0, flagsOf(b, o))
    const entry = batch.take()
    stampLsn(entry, 0, command)
    return { before: { command: name, data }, after, received: entry.subarray(0, lengthOf(entry, 0)) }
  } catch (error) {
    throw failedAt(`${status} command ${command}, "${name}" on ${aggregate.type}/${aggregate.id}`, error)
  }
}

const failedAt = (where: string, cause: unknown): CommanderError =>
  new CommanderError('invalid_input', `the migration fails at ${where}: ${messageOf(cause)}`, { cause })
