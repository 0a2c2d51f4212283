import { hasBrand } from '../kernel/brand.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { isAggregate } from './aggregate.ts'
import type { AnyAggregate } from './aggregate-types.ts'
import { assertKnownKeys, assertObject, describe } from './definition.ts'
import { assertName } from './name.ts'
import type { Projection } from './projection.ts'
import { isProjection } from './projection.ts'
import { isSchedule, type Schedule } from './schedule.ts'
import { isWorkflow } from './workflow.ts'
import type { AnyWorkflow } from './workflow-types.ts'

export interface ApplicationDefinition<
  Name extends string,
  Aggregates extends readonly AnyAggregate[],
  Projections extends readonly Projection[],
  Workflows extends readonly AnyWorkflow[] = readonly AnyWorkflow[],
> {
  /** 1 to 128 characters: a letter, then letters, digits, `_`, `.` or `-`. Part of the names of its processes. */
  readonly name: Name
  /** Names are unique. At least one aggregate or workflow. */
  readonly aggregates: Aggregates
  /** Names are unique. Default none. */
  readonly projections?: Projections
  /**
   * Of several versions of one workflow new ones are started with the newest; the others go on with those that were started
   * with them. Default none.
   */
  readonly workflows?: Workflows
  /** Names are unique; each starts a workflow of this application. At most 1,000. Default none. */
  readonly schedules?: readonly Schedule[]
}

export const applicationBrand: unique symbol = Symbol.for('commanderdb.application') as never

/** A checked application, frozen: the default export of an application module. Known by its symbol, not by a class. */
export interface Application<
  Name extends string = string,
  Aggregates extends readonly AnyAggregate[] = readonly AnyAggregate[],
  Projections extends readonly Projection[] = readonly Projection[],
  Workflows extends readonly AnyWorkflow[] = readonly AnyWorkflow[],
> {
  readonly [applicationBrand]: true
  readonly name: Name
  readonly aggregates: Aggregates
  readonly projections: Projections
  readonly workflows: Workflows
  readonly schedules: readonly Schedule[]
}

const definitionKeys: ReadonlySet<string> = new Set(['name', 'aggregates', 'projections', 'workflows', 'schedules'])

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
  const Workflows extends readonly AnyWorkflow[] = readonly [],
>(
  definition: ApplicationDefinition<Name, Aggregates, Projections, Workflows>,
): Application<Name, Aggregates, Projections, Workflows> {
  return normalise(definition) as unknown as Application<Name, Aggregates, Projections, Workflows>
}

export function isApplication(value: unknown): value is Application {
  return hasBrand(value, applicationBrand)
}

function normalise(input: unknown): Application {
  assertObject(input, 'the argument of defineApplication')
  assertName(input.name, 'the name of the application')
  const subject = `application "${input.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  const aggregates = listOf(input.aggregates, isAggregate, `${subject}: aggregates`, 'defineAggregate')
  const workflows = listOf(input.workflows ?? [], isWorkflow, `${subject}: workflows`, 'defineWorkflow', versioned)
  if (aggregates.length === 0 && workflows.length === 0) {
    throw new CommanderError('invalid_module', `${subject}: aggregates is empty, but must have at least one`)
  }
  const projections = listOf(input.projections ?? [], isProjection, `${subject}: projections`, 'defineProjection')
  for (const projection of projections) assertSourcesExist(projection, aggregates, subject)
  const schedules = listOf(input.schedules ?? [], isSchedule, `${subject}: schedules`, 'defineSchedule')
  assertScheduled(schedules, workflows, subject)
  const { name } = input
  return Object.freeze({ [applicationBrand]: true as const, name, aggregates, projections, workflows, schedules })
}

function listOf<Item extends { readonly name: string }>(
  input: unknown,
  is: (value: unknown) => value is Item,
  subject: string,
  maker: string,
  labelOf: (item: Item) => string = ({ name }) => name,
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
    const label = labelOf(item)
    if (names.has(label)) {
      throw new CommanderError('invalid_module', `${subject} has "${label}" twice; names must be unique`)
    }
    names.add(label)
  }
  return Object.freeze([...input])
}

function assertScheduled(schedules: readonly Schedule[], workflows: readonly AnyWorkflow[], subject: string): void {
  if (schedules.length > limits.schedulesMax) {
    const message = `${subject} has ${schedules.length} schedules; there may be ${limits.schedulesMax}`
    throw new CommanderError('invalid_module', message)
  }
  const names = new Set(workflows.map(({ name }) => name))
  for (const { name, workflow } of schedules) {
    if (names.has(workflow.name)) continue
    const message = `${subject}: schedule "${name}" starts workflow "${workflow.name}", which is not among its workflows: ${[...names].join(', ') || 'none'}`
    throw new CommanderError('invalid_module', message)
  }
}

const versioned = ({ name, version }: AnyWorkflow): string => `${name} version ${version}`

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
