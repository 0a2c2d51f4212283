import { hasBrand } from '../kernel/brand.ts'
import { CommanderError } from '../kernel/errors.ts'
import { isAggregate } from './aggregate.ts'
import type { AnyAggregate, EventsOf } from './aggregate-types.ts'
import { assertIntegerOption, assertKnownKeys, assertObject, copyHandlers, describe } from './definition.ts'
import { assertName } from './name.ts'

/** The rows of one projection. Synchronous: the store is in this process's memory map. */
export interface ProjectionTable<Row, Missing = undefined> {
  /** The row under `key`, or `undefined` (with `initialRow`: a fresh one) where there is none. Do not change it: `put` a new one. */
  get(key: string): Row | Missing
  /** Saves a JSON-like value under a key of 1 to 256 UTF-8 bytes. */
  put(key: string, row: Row): void
  /** Does nothing where there is no such row. */
  delete(key: string): void
}

/** An event as projections see it. */
export interface ProjectionEvent<Type = string, Data = unknown> {
  readonly type: Type
  readonly data: Data
  readonly aggregate: { readonly type: string; readonly id: string }
  readonly revision: number
  readonly globalPosition: number
  /** LSN of the entry that completed the command. */
  readonly lsn: number
  /** When that entry was written: ISO 8601, UTC. */
  readonly at: string
}

/** A row that `initialRow` types is never missing. */
type TableOf<Row> = ProjectionTable<Row, unknown extends Row ? undefined : never>

/** Methods are compared bivariantly, so that a user without `aggregates` may annotate the event. */
interface ProjectionMethod<Row, Type, Data> {
  handle(table: TableOf<Row>, event: ProjectionEvent<Type, Data>): void
}

export type ProjectionHandler<Row, Type, Data> = ProjectionMethod<Row, Type, Data>['handle']

type HandlersOf<A extends AnyAggregate, Row> = {
  readonly [Type in keyof EventsOf<A>]?: ProjectionHandler<Row, Type, EventsOf<A>[Type]>
}

/** The aggregate of that name; without `aggregates` every name fits. */
type Named<A extends AnyAggregate, Name extends string> = A extends unknown
  ? Name extends A['name']
    ? A
    : never
  : never

export interface ProjectionDefinition<Row, A extends AnyAggregate> {
  /** 1 to 128 characters: a letter, then letters, digits, `_`, `.` or `-`. Unique in the database. */
  readonly name: string
  /** Raise it when a handler changes: the rows are thrown away and built again from the first event. 1 or more. */
  readonly version: number
  /** Types `on` by these aggregates. Without it any names may stand in `on`, and `event.data` is `unknown`. */
  readonly aggregates?: readonly A[]
  /** Types the rows, and makes what `table.get` answers for a key that has none. */
  readonly initialRow?: () => Row
  /** By aggregate name and event type. Handlers must be synchronous and deterministic: rows are rebuilt from events. */
  readonly on: { readonly [Name in A['name']]?: HandlersOf<Named<A, Name>, NoInfer<Row>> }
}

export const projectionBrand: unique symbol = Symbol.for('commanderdb.projection') as never

type AnyHandler = ProjectionHandler<unknown, string, unknown>

/** A checked definition, frozen. Nothing in `on` has a prototype: names from outside may be looked up in it. */
export interface Projection<Row = unknown> {
  readonly [projectionBrand]: true
  readonly name: string
  readonly version: number
  readonly initialRow?: () => Row
  readonly on: Readonly<Record<string, Readonly<Record<string, AnyHandler>>>>
}

const definitionKeys: ReadonlySet<string> = new Set(['name', 'version', 'aggregates', 'initialRow', 'on'])

/**
 * Defines a read model: a table of rows by key, kept up to date from the events of any aggregates.
 *
 * @throws CommanderError `invalid_module` when the definition is wrong
 * @example
 * const balances = defineProjection({
 *   name: 'balances',
 *   version: 1,
 *   aggregates: [counter],
 *   initialRow: () => ({ value: 0 }),
 *   on: {
 *     counter: {
 *       added: (table, event) => {
 *         const { id } = event.aggregate
 *         table.put(id, { value: table.get(id).value + event.data.amount })
 *       },
 *     },
 *   },
 * })
 */
export function defineProjection<Row = unknown, const A extends AnyAggregate = AnyAggregate>(
  definition: ProjectionDefinition<Row, A>,
): Projection<Row> {
  return normalise(definition) as Projection<Row>
}

export function isProjection(value: unknown): value is Projection {
  return hasBrand(value, projectionBrand)
}

function normalise(input: unknown): Projection {
  assertObject(input, 'the argument of defineProjection')
  assertName(input.name, 'the name of the projection')
  const subject = `projection "${input.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  if (input.version === undefined)
    throw new CommanderError('invalid_module', `${subject}: version is missing; start with 1`)
  const version = assertIntegerOption(input.version, 1, 1, 0x7fffffff, `${subject}: version`)
  const initialRow = initialRowOf(input.initialRow, subject)
  const on = copyOn(input.on, aggregatesOf(input.aggregates, subject), subject)
  return Object.freeze({ [projectionBrand]: true as const, name: input.name, version, ...initialRow, on })
}

function initialRowOf(value: unknown, subject: string): Pick<Projection, 'initialRow'> {
  if (value === undefined) return {}
  if (typeof value === 'function') return { initialRow: value as () => unknown }
  throw new CommanderError('invalid_module', `${subject}: initialRow is ${describe(value)}, but must be a function`)
}

function aggregatesOf(value: unknown, subject: string): readonly AnyAggregate[] | undefined {
  if (value === undefined) return undefined
  if (Array.isArray(value) && value.every(isAggregate)) return value
  throw new CommanderError('invalid_module', `${subject}: aggregates must be a list of what defineAggregate returns`)
}

function copyOn(input: unknown, aggregates: readonly AnyAggregate[] | undefined, subject: string): Projection['on'] {
  assertObject(input, `${subject}: on`)
  const on: Record<string, Projection['on'][string]> = Object.create(null)
  for (const [name, handlers] of Object.entries(input)) {
    assertName(name, `${subject}: a key of on`)
    if (aggregates && !aggregates.some((aggregate) => aggregate.name === name)) {
      throw new CommanderError('invalid_module', `${subject}: on.${name} is not one of its aggregates`)
    }
    on[name] = copyHandlers(handlers, `${subject}: on.${name}`, 'event', true) as Projection['on'][string]
  }
  if (Object.keys(on).length === 0) {
    throw new CommanderError(
      'invalid_module',
      `${subject}: on is empty, but must have handlers for at least one aggregate`,
    )
  }
  return Object.freeze(on)
}
