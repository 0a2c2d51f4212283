import { CommanderError } from '../kernel/errors.ts'
import type { Application } from './application.ts'
import type { Projection } from './projection.ts'

/**
 * Checks the applications of one database against each other: every name stands for one thing, and projections
 * follow aggregates and events that there are.
 *
 * @throws CommanderError `invalid_module` naming the applications, and what stands in each other's way
 */
export function assertApplicationsFit(applications: readonly Application[]): void {
  assertUnique('application', applications, ({ name }) => [name])
  assertUnique('aggregate', applications, ({ aggregates }) => aggregates.map(({ name }) => name))
  assertUnique('workflow', applications, ({ workflows }) => [...new Set(workflows.map(({ name }) => name))])
  assertUnique('schedule', applications, ({ schedules }) => schedules.map(({ name }) => name))
  assertUnique('projection', applications, ({ projections }) => projections.map(({ name }) => name))
  const aggregates = applications.flatMap((application) => application.aggregates)
  const eventsOf = new Map(aggregates.map(({ name, evolve }) => [name, evolve]))
  for (const { name, projections } of applications) {
    for (const projection of projections) assertSources(`application "${name}"`, projection, eventsOf)
  }
}

/** What is stored under a name must keep it. */
const advice = {
  application: 'rename one of them',
  aggregate:
    'leave it out of the aggregates of one of them: to send it commands (context.command) and to follow its events the other one needs its definition only',
  workflow: 'leave it out of the workflows of one of them: the other one can still start it',
  schedule: 'rename one of them, or leave it out',
  projection: 'rename one of them, or leave it out',
} as const

function assertUnique(
  kind: keyof typeof advice,
  applications: readonly Application[],
  namesOf: (of: Application) => readonly string[],
): void {
  const owners = new Map<string, string>()
  for (const application of applications) {
    for (const name of namesOf(application)) {
      const owner = owners.get(name)
      if (owner !== undefined) {
        const where = `applications "${owner}" and "${application.name}"`
        throw new CommanderError(
          'invalid_module',
          `the ${kind} "${name}" is defined twice, by ${where}; ${advice[kind]}`,
        )
      }
      owners.set(name, application.name)
    }
  }
}

function assertSources(subject: string, projection: Projection, eventsOf: ReadonlyMap<string, object>): void {
  for (const [aggregate, handlers] of Object.entries(projection.on)) {
    const start = `${subject}: projection "${projection.name}"`
    const events = eventsOf.get(aggregate)
    if (events === undefined) {
      const known = [...eventsOf.keys()].join(', ')
      const message = `${start} follows aggregate "${aggregate}", which no application defines; there are ${known}`
      throw new CommanderError('invalid_module', message)
    }
    const unknown = Object.keys(handlers).find((type) => !Object.hasOwn(events, type))
    if (unknown === undefined) continue
    const known = Object.keys(events).join(', ')
    const message = `${start} handles "${unknown}" of aggregate "${aggregate}", which has only ${known}`
    throw new CommanderError('invalid_module', message)
  }
}
