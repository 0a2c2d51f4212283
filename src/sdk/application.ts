import { CommanderError } from '../kernel/errors.ts'
import { isAggregate } from './aggregate.ts'
import type { AnyAggregate } from './aggregate-types.ts'
import { assertKnownKeys, assertObject, describe } from './definition.ts'
import { assertName } from './name.ts'
import type { Projection } from './projection.ts'
import { isProjection } from './projection.ts'

export interface ApplicationDefinition<
  Name extends string,
  Aggregates extends readonly AnyAggregate[],
  Projections extends readonly Projection[],
> {
  /** 1 to 128 characters: a letter, then letters, digits, `_`, `.` or `-`. Part of the names of its processes. */
  readonly name: Name
  /** At least one; names are unique. */
  readonly aggregates: Aggregates
  /** Names are unique. Default none. */
  readonly projections?: Projections
  /** Must be empty: this version has no workflows yet. */
  readonly workflows?: readonly []
}

export const applicationBrand: unique symbol = Symbol.for('commanderdb.application') as never

/** A checked application, frozen: the default export of an application module. Known by its symbol, not by a class. */
export interface Application<
  Name extends string = string,
  Aggregates extends readonly AnyAggregate[] = readonly AnyAggregate[],
  Projections extends readonly Projection[] = readonly Projection[],
> {
  readonly [applicationBrand]: true
  readonly name: Name
  readonly aggregates: Aggregates
  readonly projections: Projections
  readonly workflows: readonly []
}

const definitionKeys: ReadonlySet<string> = new Set(['name', 'aggregates', 'projections', 'workflows'])

/**
 * Puts an application together. An application module exports the result as its default.
 *
 * @throws CommanderError `invalid_module` when the definition is wrong or a name stands for two things
 * @example
 * export default defineApplication({ name: 'bank', aggregates: [account], projections: [balances], workflows: [] })
 */
export function defineApplication<
  const Name extends string,
  const Aggregates extends readonly AnyAggregate[],
  const Projections extends readonly Projection[] = readonly [],
>(definition: ApplicationDefinition<Name, Aggregates, Projections>): Application<Name, Aggregates, Projections> {
  return normalise(definition) as unknown as Application<Name, Aggregates, Projections>
}

export function isApplication(value: unknown): value is Application {
  return typeof value === 'object' && value !== null && (value as Partial<Application>)[applicationBrand] === true
}

function normalise(input: unknown): Application {
  assertObject(input, 'the argument of defineApplication')
  assertName(input.name, 'the name of the application')
  const subject = `application "${input.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  const aggregates = listOf(input.aggregates, isAggregate, `${subject}: aggregates`, 'defineAggregate')
  if (aggregates.length === 0) {
    throw new CommanderError('invalid_module', `${subject}: aggregates is empty, but must have at least one`)
  }
  const projections = listOf(input.projections ?? [], isProjection, `${subject}: projections`, 'defineProjection')
  assertNoWorkflows(input.workflows, subject)
  for (const projection of projections) assertSourcesExist(projection, aggregates, subject)
  const workflows = Object.freeze([] as const)
  return Object.freeze({ [applicationBrand]: true as const, name: input.name, aggregates, projections, workflows })
}

function listOf<Item extends { readonly name: string }>(
  input: unknown,
  is: (value: unknown) => value is Item,
  subject: string,
  maker: string,
): readonly Item[] {
  if (!Array.isArray(input)) {
    throw new CommanderError('invalid_module', `${subject} is ${describe(input)}, but must be a list`)
  }
  const names = new Set<string>()
  for (const [index, item] of input.entries()) {
    if (!is(item)) {
      const message = `${subject}[${index}] is ${describe(item)}, but must be what ${maker} returns`
      throw new CommanderError('invalid_module', message)
    }
    if (names.has(item.name)) {
      throw new CommanderError('invalid_module', `${subject} has "${item.name}" twice; names must be unique`)
    }
    names.add(item.name)
  }
  return Object.freeze([...input])
}

function assertNoWorkflows(workflows: unknown, subject: string): void {
  if (workflows === undefined || (Array.isArray(workflows) && workflows.length === 0)) return
  const message = `${subject}: workflows must be [] or left out; this version of CommanderDB does not run workflows yet`
  throw new CommanderError('invalid_module', message)
}

/** A misspelt event type would otherwise leave a projection empty without a word. Other applications' aggregates pass. */
function assertSourcesExist(projection: Projection, aggregates: readonly AnyAggregate[], subject: string): void {
  for (const aggregate of aggregates) {
    const known = new Set([...Object.keys(aggregate.evolve)])
    for (const type of Object.keys(projection.on[aggregate.name] ?? {})) {
      if (known.has(type)) continue
      const message = `${subject}: projection "${projection.name}" handles "${type}" of aggregate "${aggregate.name}", which has only ${[...known].join(', ')}`
      throw new CommanderError('invalid_module', message)
    }
  }
}
