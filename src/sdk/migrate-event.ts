import { CommanderError } from '../kernel/errors.ts'
import type { AnyAggregate, DecidedEvent } from './aggregate-types.ts'
import { describe } from './definition.ts'
import type { MigratedCommandContext, Migration, MigrationContext } from './migration.ts'
import { checkSchema } from './schema-check.ts'
import { droppedEvent, isDropped, upcastEvent } from './upcast-event.ts'

/**
 * What the migration makes of one stored event: an event that `evolve` knows and whose data satisfies its schema, or
 * `stream/dropped`.
 *
 * @throws CommanderError `invalid_input`, `schema_violation`, or whatever the migration throws
 */
export function migrateEvent(migration: Migration, stored: DecidedEvent, context: MigrationContext): DecidedEvent {
  if (isDropped(stored)) return droppedEvent
  const { aggregate, fromVersion, event } = migration
  if (context.version < fromVersion) {
    const message = `it is of version ${context.version}, and the migration begins with ${fromVersion}`
    throw new CommanderError('invalid_input', message)
  }
  const made =
    event === undefined ? upcastEvent(aggregate, stored, context.version) : event(stored.type, stored.data, context)
  return made === null ? droppedEvent : checkedEvent(aggregate, made)
}

function checkedEvent(aggregate: AnyAggregate, made: unknown): DecidedEvent {
  if (Array.isArray(made)) {
    const message = `the migration returned ${made.length} events; an event stays one event, because revisions stay`
    throw new CommanderError('invalid_input', message)
  }
  refusePromise(made)
  const type = typeof made === 'object' && made !== null ? (made as DecidedEvent).type : undefined
  if (typeof type !== 'string' || !Object.hasOwn(aggregate.evolve, type)) {
    const what = typeof type === 'string' ? `an event "${type}"` : describe(made)
    const message = `the migration returned ${what}, but must return an event that evolve of version ${aggregate.version} knows, or null`
    throw new CommanderError('invalid_input', message)
  }
  const { data } = made as DecidedEvent
  const schema = aggregate.schemas?.events?.[type]
  return { type, data: schema === undefined ? data : checkSchema(schema, data, `data of event "${type}"`) }
}

/** @throws as `migrateEvent` */
export function migrateCommand(
  { aggregate, command }: Migration,
  name: string,
  data: unknown,
  context: MigratedCommandContext,
): { readonly command: string; readonly data: unknown } {
  const made: unknown = command === undefined ? { command: name, data } : command(name, data, context)
  refusePromise(made)
  const given = made as { readonly command?: unknown; readonly data?: unknown } | null | undefined
  const known = typeof given?.command === 'string' && Object.hasOwn(aggregate.decide, given.command)
  if (!known) {
    const what = typeof given?.command === 'string' ? `a command "${given.command}"` : describe(made)
    const message = `the migration gives ${what}, but must give { command, data } with a command that version ${aggregate.version} decides`
    throw new CommanderError('invalid_input', message)
  }
  const to = given.command as string
  const schema = aggregate.schemas?.commands?.[to]
  const checked = schema === undefined ? given.data : checkSchema(schema, given.data, `data of command "${to}"`)
  return { command: to, data: checked }
}

function refusePromise(made: unknown): void {
  if (!(made instanceof Promise)) return
  made.catch(() => {})
  throw new CommanderError('invalid_input', 'the migration is asynchronous; it must return at once')
}
