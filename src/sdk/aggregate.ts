import { hasBrand } from '../kernel/brand.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { AggregateDefinition, AnyAggregate, InferredAggregate, RetryOptions } from './aggregate-types.ts'
import { aggregateBrand } from './aggregate-types.ts'
import { assertIntegerOption, assertKnownKeys, assertObject, copyHandlers, copySchemas } from './definition.ts'
import { assertName } from './name.ts'
import { queuesOf } from './queue.ts'
import { retryDefaults, retryOptionsOf } from './retry-options.ts'

const dayMs = 86_400_000

/** What an aggregate gets where its definition says nothing. */
export const aggregateDefaults: {
  readonly version: 1
  readonly idempotencyTtlMs: number
  readonly snapshotEvery: number
  readonly onExhausted: 'parkCommand'
  readonly retry: Required<RetryOptions>
} = {
  version: 1,
  idempotencyTtlMs: dayMs,
  snapshotEvery: 500,
  onExhausted: 'parkCommand',
  retry: retryDefaults,
}

const definitionKeys: ReadonlySet<string> = new Set([
  'name',
  'initialState',
  'decide',
  'evolve',
  'schemas',
  'version',
  'upcast',
  'idempotencyTtlMs',
  'retry',
  'onExhausted',
  'snapshotEvery',
  'queues',
])

/**
 * Defines an aggregate: the unit of ordering, whose state is a fold of its events. Pure functions in the manner of the
 * Decider pattern (Jérémie Chassaing, https://thinkbeforecoding.com/post/2021/12/17/functional-event-sourcing-decider).
 * All types come from the definition: the state from `initialState`, each command's data from the parameter of its
 * handler in `decide`, each event's data from the parameter of its handler in `evolve`.
 *
 * @throws CommanderError `invalid_module` when the definition is wrong
 * @example
 * const counter = defineAggregate({
 *   name: 'counter',
 *   initialState: () => ({ value: 0 }),
 *   decide: { add: (data: { amount: number }) => ({ type: 'added', data }) },
 *   evolve: { added: (state, data: { amount: number }) => ({ value: state.value + data.amount }) },
 * })
 */
export function defineAggregate<
  const Name extends string,
  State,
  Commands extends Record<string, unknown>,
  Events extends Record<string, unknown>,
>(definition: AggregateDefinition<Name, State, Commands, Events>): InferredAggregate<Name, State, Commands, Events> {
  return normalise(definition) as unknown as InferredAggregate<Name, State, Commands, Events>
}

export function isAggregate(value: unknown): value is AnyAggregate {
  return hasBrand(value, aggregateBrand)
}

function normalise(input: unknown): AnyAggregate {
  assertObject(input, 'the argument of defineAggregate')
  assertName(input.name, 'the name of the aggregate')
  const subject = `aggregate "${input.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  if (typeof input.initialState !== 'function')
    throw missing(subject, 'initialState', 'a function that returns the state')
  const decide = copyHandlers(input.decide, `${subject}: decide`, 'command', true)
  const evolve = copyHandlers(input.evolve, `${subject}: evolve`, 'event', true)
  const aggregate = {
    [aggregateBrand]: true,
    name: input.name,
    initialState: input.initialState,
    decide,
    evolve,
    ...optionsOf(input, subject),
    ...schemasOf(input.schemas, decide, evolve, subject),
    ...(input.queues === undefined ? {} : { queues: queuesOf(input.queues, decide, `${subject}: queues`) }),
    ...(input.upcast === undefined ? {} : { upcast: copyHandlers(input.upcast, `${subject}: upcast`, 'event', false) }),
  }
  return Object.freeze(aggregate) as AnyAggregate
}

function optionsOf(input: Record<string, unknown>, subject: string): typeof aggregateDefaults {
  const { version, idempotencyTtlMs, snapshotEvery } = aggregateDefaults
  const option = (key: string, otherwise: number, min: number, max: number): number =>
    assertIntegerOption(input[key], otherwise, min, max, `${subject}: ${key}`)
  return {
    version: option('version', version, 1, 0xffff) as 1,
    idempotencyTtlMs: option('idempotencyTtlMs', idempotencyTtlMs, 0, 366 * dayMs),
    snapshotEvery: option('snapshotEvery', snapshotEvery, 0, Number.MAX_SAFE_INTEGER),
    onExhausted: onExhaustedOf(input.onExhausted, subject) as 'parkCommand',
    retry: retryOf(input.retry, subject),
  }
}

function onExhaustedOf(value: unknown, subject: string): string {
  if (value === undefined) return aggregateDefaults.onExhausted
  if (value === 'blockAggregate' || value === 'parkCommand') return value
  const message = `${subject}: onExhausted is ${JSON.stringify(value)}, but must be "blockAggregate" or "parkCommand"`
  throw new CommanderError('invalid_module', message)
}

const retryKeys: ReadonlySet<string> = new Set(['maxAttempts', 'initialDelayMs', 'maxDelayMs'])

function retryOf(input: unknown, subject: string): Required<RetryOptions> {
  const defaults = aggregateDefaults.retry
  if (input === undefined) return Object.freeze(defaults)
  assertObject(input, `${subject}: retry`)
  assertKnownKeys(input, retryKeys, `${subject}: retry`)
  return Object.freeze(retryOptionsOf(input, defaults, `${subject}: retry`))
}

function schemasOf(input: unknown, decide: object, evolve: object, subject: string): Pick<AnyAggregate, 'schemas'> {
  if (input === undefined) return {}
  assertObject(input, `${subject}: schemas`)
  assertKnownKeys(input, new Set(['commands', 'events']), `${subject}: schemas`)
  const commands = copySchemas(input.commands, decide, `${subject}: schemas.commands`)
  const events = copySchemas(input.events, evolve, `${subject}: schemas.events`)
  return { schemas: Object.freeze({ commands, events }) }
}

function missing(subject: string, key: string, what: string): CommanderError {
  return new CommanderError('invalid_module', `${subject}: ${key} is missing or wrong; it must be ${what}`)
}
