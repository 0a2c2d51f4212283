import { causesOf } from '../kernel/error-causes.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyAggregate, CommandContext, DecidedEvent } from '../sdk/aggregate-types.ts'
import { isCommandRejected } from '../sdk/rejection.ts'
import { checkSchema } from '../sdk/schema-check.ts'

export interface Completed {
  readonly outcome: 'completed'
  readonly events: readonly DecidedEvent[]
  readonly state: unknown
}

export interface Rejected {
  readonly outcome: 'rejected'
  readonly code: string
  readonly message: string
  readonly details: unknown
}

export interface Failed {
  readonly outcome: 'failed'
  readonly message: string
}

export type Decision = Completed | Rejected | Failed

const noEvents: readonly DecidedEvent[] = []

/** Decides one command on a state, and folds what it decided. Never throws: what user code throws is the outcome. */
export function decide(
  definition: AnyAggregate,
  command: string,
  data: unknown,
  state: unknown,
  context: CommandContext,
): Decision {
  const handler = Object.hasOwn(definition.decide, command) ? definition.decide[command] : undefined
  if (handler === undefined) {
    const message = `aggregate ${definition.name} has no command "${command}"`
    return { outcome: 'rejected', code: 'unknown_command', message, details: undefined }
  }
  try {
    const events = eventsOf(definition, command, handler(data, state, context))
    return { outcome: 'completed', events, state: evolveAll(definition, state, events, context) }
  } catch (error) {
    if (isCommandRejected(error)) {
      return { outcome: 'rejected', code: error.code, message: error.message, details: error.details }
    }
    return { outcome: 'failed', message: describe(error) }
  }
}

/**
 * The same for data that has not passed the gateway: what the command's schema refuses is rejected.
 * @param subject names the data in the rejection
 */
export function decideUnchecked(
  definition: AnyAggregate,
  command: string,
  data: unknown,
  state: unknown,
  context: CommandContext,
  subject: string,
): Decision {
  const schema = definition.schemas?.commands?.[command]
  try {
    const checked = schema === undefined ? data : checkSchema(schema, data, subject)
    return decide(definition, command, checked, state, context)
  } catch (error) {
    if (!isCommanderError(error)) throw error
    return { outcome: 'rejected', code: error.code, message: error.message, details: error.details }
  }
}

function eventsOf(definition: AnyAggregate, command: string, returned: unknown): readonly DecidedEvent[] {
  const events = Array.isArray(returned) ? (returned as DecidedEvent[]) : [returned as DecidedEvent]
  if (events.length === 0) return noEvents
  if (events.length > limits.eventsPerCommandMax) {
    throw new CommanderError(
      'invalid_input',
      `${command} decided ${events.length} events; at most ${limits.eventsPerCommandMax} are allowed`,
    )
  }
  for (const event of events) checkEvent(definition, command, event)
  return definition.schemas?.events === undefined ? events : events.map((event) => checkedBySchema(definition, event))
}

function checkEvent(definition: AnyAggregate, command: string, event: unknown): void {
  if (event instanceof Promise) {
    event.catch(() => {})
    throw new CommanderError(
      'invalid_module',
      `${definition.name}.decide.${command} is asynchronous; it must return events at once`,
    )
  }
  const type = typeof event === 'object' && event !== null ? (event as DecidedEvent).type : undefined
  if (typeof type !== 'string' || !Object.hasOwn(definition.evolve, type)) {
    throw new CommanderError(
      'invalid_module',
      `${definition.name}.decide.${command} returned ${JSON.stringify(event)}, which is not an event that evolve knows`,
    )
  }
}

function checkedBySchema(definition: AnyAggregate, event: DecidedEvent): DecidedEvent {
  const schema = definition.schemas?.events?.[event.type]
  if (schema === undefined) return event
  return { type: event.type, data: checkSchema(schema, event.data, `data of event "${event.type}"`) }
}

function evolveAll(
  definition: AnyAggregate,
  state: unknown,
  events: readonly DecidedEvent[],
  { aggregate }: CommandContext,
): unknown {
  let next = state
  let { revision } = aggregate
  for (const event of events) {
    revision++
    const handler = definition.evolve[event.type] as NonNullable<AnyAggregate['evolve'][string]>
    next = handler(next, event.data, {
      type: event.type,
      aggregate: { type: aggregate.type, id: aggregate.id },
      revision,
    })
  }
  return next
}

/** For a person who looks at a parked command: the error, what it came of, and the first places in the user's code. */
function describe(error: unknown): string {
  if (!(error instanceof Error) || error.stack === undefined) return messageOf(error)
  const causes = causesOf(error).map((cause) => `, caused by ${cause}`)
  const places = error.stack
    .split('\n')
    .filter((line) => line.trimStart().startsWith('at '))
    .slice(0, 3)
  return [`${error.name}: ${error.message}${causes.join('')}`, ...places.map((line) => line.trim())].join(' ')
}
