import { hasBrand } from '../kernel/brand.ts'
import { digest16 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { isAggregate } from './aggregate.ts'
import type { AnyAggregate, CommandsOf, DecidedEvent, EventOf, EventsOf } from './aggregate-types.ts'
import { assertIntegerOption, assertKnownKeys, assertObject, describe } from './definition.ts'

/** Where a stored event stands. */
export interface MigrationContext {
  readonly aggregate: { readonly type: string; readonly id: string }
  /** Number of the event in its stream; it stays. */
  readonly revision: number
  /** Number of the event among all events; it stays. */
  readonly globalPosition: number
  /** The version of the aggregate that the event was written under. */
  readonly version: number
  /** When the event was written: ISO 8601, UTC. */
  readonly at: string
}

/** A command that waits to be decided, or was parked. */
export interface MigratedCommandContext {
  readonly aggregate: { readonly type: string; readonly id: string }
  readonly status: 'pending' | 'parked'
  /** The version of the aggregate that the command was received under; 0 where no version was noted. */
  readonly version: number
}

/** Union of an aggregate's commands, each with its own data. */
export type CommandOf<Commands> = {
  readonly [Name in keyof Commands]: { readonly command: Name; readonly data: Commands[Name] }
}[keyof Commands]

/** Methods are compared bivariantly, so that a user may annotate `data` as what old events and commands held. */
interface MigrationMethods<A extends AnyAggregate> {
  event(type: string, data: unknown, context: MigrationContext): EventOf<EventsOf<A>> | null
  command(name: string, data: unknown, context: MigratedCommandContext): CommandOf<CommandsOf<A>>
}

export interface MigrationDefinition<A extends AnyAggregate> {
  /** The definition that is to be: its `version` is the one that streams are rewritten to. */
  readonly aggregate: A
  /** The oldest version that there may be, 1 or more. Events of an older one fail the migration. */
  readonly fromVersion: number
  /** Must be the `version` of `aggregate`, and above `fromVersion`. */
  readonly toVersion: number
  /**
   * What becomes of one event of an older version. It may be renamed and reshaped; it stays one event, because revisions
   * and global positions stay. `null` empties it: its place is kept by an event `stream/dropped` that changes no state.
   * Must be synchronous and deterministic. Default: the `upcast` of `aggregate`.
   */
  readonly event?: MigrationMethods<A>['event']
  /** What becomes of a pending or parked command of an older version. Default: it stays as it is. */
  readonly command?: MigrationMethods<A>['command']
}

export const migrationBrand: unique symbol = Symbol.for('commanderdb.migration') as never

/** A checked migration, frozen: the default export of a module for `commanderdb stream migrate`. */
export interface Migration {
  readonly [migrationBrand]: true
  readonly aggregate: AnyAggregate
  readonly fromVersion: number
  readonly toVersion: number
  readonly event?: (type: string, data: unknown, context: MigrationContext) => DecidedEvent | null
  readonly command?: (
    name: string,
    data: unknown,
    context: MigratedCommandContext,
  ) => { readonly command: string; readonly data?: unknown }
  /** Over the source text of what rewrites: a migration that was begun by other code is not gone on with. */
  readonly digest: string
}

const definitionKeys: ReadonlySet<string> = new Set(['aggregate', 'fromVersion', 'toVersion', 'event', 'command'])
const versionMax = 0xffff

/**
 * Defines how all streams of one aggregate are rewritten to a new version of their events.
 *
 * @throws CommanderError `invalid_module` when the definition is wrong
 * @example
 * export default defineMigration({
 *   aggregate: counter,
 *   fromVersion: 1,
 *   toVersion: 2,
 *   event: (type, data: { amount: number }) => ({ type: 'added', data: { amountCents: data.amount * 100 } }),
 * })
 */
export function defineMigration<const A extends AnyAggregate>(definition: MigrationDefinition<A>): Migration {
  return normalise(definition)
}

export function isMigration(value: unknown): value is Migration {
  return hasBrand(value, migrationBrand)
}

function normalise(input: unknown): Migration {
  assertObject(input, 'the argument of defineMigration')
  const { aggregate } = input
  if (!isAggregate(aggregate)) {
    const message = `the migration: aggregate is ${describe(aggregate)}, but must be what defineAggregate returns`
    throw new CommanderError('invalid_module', message)
  }
  const subject = `the migration of "${aggregate.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  const fromVersion = versionOf(input['fromVersion'], `${subject}: fromVersion`)
  const toVersion = versionOf(input['toVersion'], `${subject}: toVersion`)
  if (toVersion !== aggregate.version) {
    const message = `${subject}: toVersion is ${toVersion}, but the aggregate's version is ${aggregate.version}; they must be the same`
    throw new CommanderError('invalid_module', message)
  }
  if (fromVersion >= toVersion) {
    const message = `${subject}: fromVersion is ${fromVersion}, but must be below toVersion, ${toVersion}`
    throw new CommanderError('invalid_module', message)
  }
  const functions = {
    ...functionOf<NonNullable<Migration['event']>, 'event'>(input, 'event', subject),
    ...functionOf<NonNullable<Migration['command']>, 'command'>(input, 'command', subject),
  }
  const digest = digestOf(aggregate, fromVersion, functions)
  return Object.freeze({ [migrationBrand]: true as const, aggregate, fromVersion, toVersion, ...functions, digest })
}

function versionOf(value: unknown, subject: string): number {
  if (value === undefined) throw new CommanderError('invalid_module', `${subject} is missing`)
  return assertIntegerOption(value, 1, 1, versionMax, subject)
}

function functionOf<F, const Key extends string>(
  input: Record<string, unknown>,
  key: Key,
  subject: string,
): { readonly [K in Key]?: F } {
  const value = input[key]
  if (value === undefined) return {}
  if (Object.prototype.toString.call(value) === '[object Function]') return { [key]: value } as { [K in Key]: F }
  const message = `${subject}: ${key} is ${describe(value)}, but must be a plain synchronous function`
  throw new CommanderError('invalid_module', message)
}

function digestOf(
  aggregate: AnyAggregate,
  fromVersion: number,
  functions: Pick<Migration, 'event' | 'command'>,
): string {
  const source = [
    aggregate.name,
    String(fromVersion),
    String(aggregate.version),
    String(functions.event),
    String(functions.command),
    ...Object.entries(aggregate.upcast ?? {}).flatMap(([type, handler]) => [type, String(handler)]),
  ]
  return digest16(Buffer.from(source.join('\0'))).toString('hex')
}
