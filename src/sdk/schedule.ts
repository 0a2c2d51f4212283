import type { ScheduleOverlap } from '../actions/action.ts'
import { hasBrand } from '../kernel/brand.ts'
import { parseCron } from '../kernel/cron.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { assertKnownKeys, assertObject, describe } from './definition.ts'
import { assertName } from './name.ts'
import { isWorkflow } from './workflow.ts'
import type { AnyWorkflow, InputOf } from './workflow-types.ts'

export type { ScheduleOverlap } from '../actions/action.ts'

/** What becomes of times that came and went while nothing could be started: the database was down, or its application. */
export type ScheduleCatchUp = 'none' | 'latest' | 'all'

/** May be left out where the workflow takes no input. */
type ScheduleInput<W extends AnyWorkflow> =
  undefined extends InputOf<W> ? { readonly input?: InputOf<W> } : { readonly input: InputOf<W> }

export type ScheduleDefinition<W extends AnyWorkflow> = ScheduleInput<W> & {
  /** 1 to 128 characters: a letter, then letters, digits, `_`, `.` or `-`. Part of its workflows' ids. */
  readonly name: string
  /** Five parts, minute to day of the week, or six with seconds in front; `@hourly`, `@daily`… */
  readonly cron: string
  /** IANA name, for example `Europe/Berlin`. Default `UTC`. */
  readonly timezone?: string
  /**
   * What happens at a time at which the workflow of an earlier one is still under way. `skip` (default): nothing is
   * started. `queue`: it is started when the earlier one has ended; up to 1,000 wait. `allow`: it is started.
   */
  readonly overlap?: ScheduleOverlap
  /**
   * A time that is late by more than 10 seconds was missed. `latest` (default): the last one that was missed is made up for.
   * `all`: each of them, in order, up to the last 1,000. `none`: none is.
   */
  readonly catchUp?: ScheduleCatchUp
  /** Started at each time, under the id `<schedule>-<time in ISO 8601>`. */
  readonly workflow: W
}

export const scheduleBrand: unique symbol = Symbol.for('commanderdb.schedule') as never

/** A checked schedule with every default filled in, frozen. */
export interface Schedule {
  readonly [scheduleBrand]: true
  readonly name: string
  readonly cron: string
  readonly timezone: string
  readonly overlap: ScheduleOverlap
  readonly catchUp: ScheduleCatchUp
  readonly workflow: AnyWorkflow
  readonly input: unknown
}

const definitionKeys: ReadonlySet<string> = new Set([
  'name',
  'cron',
  'timezone',
  'overlap',
  'catchUp',
  'workflow',
  'input',
])

/**
 * Defines when a workflow is started by itself. Each time is started once, whatever crashes; the first one is behind the
 * moment at which the schedule was first registered.
 *
 * @throws CommanderError `invalid_module` when the definition is wrong
 * @example
 * const nightly = defineSchedule({ name: 'nightly', cron: '0 3 * * *', timezone: 'Europe/Berlin', workflow: report })
 */
export function defineSchedule<const W extends AnyWorkflow>(definition: ScheduleDefinition<W>): Schedule {
  return normalise(definition)
}

export function isSchedule(value: unknown): value is Schedule {
  return hasBrand(value, scheduleBrand)
}

function normalise(input: unknown): Schedule {
  assertObject(input, 'the argument of defineSchedule')
  assertName(input.name, 'the name of the schedule')
  const subject = `schedule "${input.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  const { cron, timezone = 'UTC', workflow } = input
  assertText(cron, `${subject}: cron`)
  assertText(timezone, `${subject}: timezone`)
  try {
    parseCron(cron, timezone)
  } catch (error) {
    throw badCron(subject, cron, timezone, error)
  }
  if (!isWorkflow(workflow)) {
    const message = `${subject}: workflow is ${describe(workflow)}, but must be what defineWorkflow returns`
    throw new CommanderError('invalid_module', message)
  }
  return Object.freeze({
    [scheduleBrand]: true as const,
    name: input.name,
    cron,
    timezone,
    overlap: oneOf(input.overlap, ['skip', 'queue', 'allow'] as const, `${subject}: overlap`),
    catchUp: oneOf(input.catchUp, ['latest', 'none', 'all'] as const, `${subject}: catchUp`),
    workflow,
    input: input.input ?? null,
  })
}

function badCron(subject: string, cron: string, timezone: string, cause: unknown): CommanderError {
  const where = `${subject}: cron ${JSON.stringify(cron)} in the time zone ${JSON.stringify(timezone)}`
  return new CommanderError('invalid_module', `${where}: ${messageOf(cause)}`, { cause })
}

function assertText(value: unknown, subject: string): asserts value is string {
  if (typeof value === 'string') return
  throw new CommanderError('invalid_module', `${subject} is ${describe(value)}, but must be a text`)
}

/** The first one is the default. */
function oneOf<Value extends string>(value: unknown, known: readonly [Value, ...Value[]], subject: string): Value {
  if (value === undefined) return known[0]
  const found = known.find((one) => one === value)
  if (found !== undefined) return found
  const message = `${subject} is ${describe(value)}, but must be one of ${known.map((one) => `"${one}"`).join(', ')}`
  throw new CommanderError('invalid_module', message)
}
