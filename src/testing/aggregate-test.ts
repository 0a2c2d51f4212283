import { AssertionError } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import { type Decision, decideUnchecked } from '../application/decide.ts'
import { DecideContext } from '../application/decide-context.ts'
import { CommanderError } from '../kernel/errors.ts'
import type {
  AnyAggregate,
  CommandData,
  CommandName,
  CommandsOf,
  EventOf,
  EventsOf,
  StateOf,
} from '../sdk/aggregate-types.ts'

type AnyEvent<A extends AnyAggregate> = EventOf<EventsOf<A>>

/** A command with its data, as one value. */
export type TestCommand<A extends AnyAggregate> = {
  readonly [Name in CommandName<A>]: { readonly type: Name; readonly data: CommandsOf<A>[Name] }
}[CommandName<A>]

/** What the decision may look at beside its data and the state. */
export interface CommandCircumstances {
  /** Of the aggregate. Default `test`. */
  readonly id?: string
  /** ISO 8601. Default 2026-01-01T00:00:00Z. */
  readonly receivedAt?: string
  readonly metadata?: Readonly<Record<string, string>>
}

const rejectionBrand: unique symbol = Symbol('rejection')

/** What is expected instead of events. */
export interface ExpectedRejection {
  readonly [rejectionBrand]: true
  readonly code: string
  /** undefined: whatever they are. */
  readonly details: unknown
}

/** For `then`: the command is rejected with this code, and with these details if they are given. */
export const rejected = (code: string, details?: unknown): ExpectedRejection => ({
  [rejectionBrand]: true,
  code,
  details,
})

export interface Then<A extends AnyAggregate> {
  /** The command decides on just these events, or is rejected. Synchronous: not to be awaited. @throws AssertionError with the difference */
  then(
    ...expected: readonly AnyEvent<A>[] | readonly [readonly AnyEvent<A>[]] | readonly [ExpectedRejection]
  ): undefined
  /** The command is rejected with this code, and with these details if they are given. @throws AssertionError */
  thenRejected(code: string, details?: unknown): undefined
  /** The state after the command. @throws AssertionError also when it is rejected */
  thenState(expected: StateOf<A>): undefined
}

export interface When<A extends AnyAggregate> {
  when<Name extends CommandName<A>>(
    command: Name,
    data: CommandData<A, Name>,
    circumstances?: CommandCircumstances,
  ): Then<A>
  when(command: TestCommand<A>, circumstances?: CommandCircumstances): Then<A>
}

export interface AggregateTest<A extends AnyAggregate> {
  /** The aggregate has these events. */
  given(...events: readonly AnyEvent<A>[] | readonly [readonly AnyEvent<A>[]]): When<A>
}

/**
 * Tests of an aggregate without a database, as emmett's `DeciderSpecification` has them
 * (https://event-driven-io.github.io/emmett): what was, what comes, what becomes of it.
 *
 * @example
 * const { given } = testAggregate(account)
 * given([{ type: 'deposited', data: { amountCents: 500 } }])
 *   .when('withdraw', { amountCents: 900 })
 *   .then(rejected('insufficient_funds'))
 */
export function testAggregate<A extends AnyAggregate>(aggregate: A): AggregateTest<A> {
  return {
    given: (...events) => ({
      when: (...args: unknown[]) => whenOf(aggregate, listOf(events), args) as unknown as Then<A>,
    }),
  }
}

interface Event {
  readonly type: string
  readonly data?: unknown
}

/** One list, or its elements as arguments. */
const listOf = (args: readonly unknown[]): readonly Event[] =>
  args.length === 1 && Array.isArray(args[0]) ? (args[0] as Event[]) : (args as Event[])

function whenOf(aggregate: AnyAggregate, events: readonly Event[], args: readonly unknown[]): Then<AnyAggregate> {
  const [command, data, circumstances] = (
    typeof args[0] === 'string' ? args : [(args[0] as Event).type, (args[0] as Event).data, args[1]]
  ) as [string, unknown, CommandCircumstances | undefined]
  const decision = decided(aggregate, events, command, data, circumstances ?? {})
  const what = `${command} on ${aggregate.name}`
  return {
    // biome-ignore lint/suspicious/noThenProperty: given, when, then; it is synchronous, and nothing to be awaited
    then: (...expected) => {
      const [first] = expected
      if (isExpectedRejection(first)) assertRejected(what, decision, first)
      else assertSame(what, outcomeOf(decision), { events: listOf(expected).map(plainEvent) })
    },
    thenRejected: (code, details) => assertRejected(what, decision, rejected(code, details)),
    thenState: (expected) =>
      assertSame(what, decision.outcome === 'completed' ? { state: decision.state } : outcomeOf(decision), {
        state: expected,
      }),
  }
}

function decided(
  aggregate: AnyAggregate,
  events: readonly Event[],
  command: string,
  data: unknown,
  { id = 'test', receivedAt = '2026-01-01T00:00:00Z', metadata = {} }: CommandCircumstances,
): Decision {
  const state = stateAfter(aggregate, events, id)
  const { length } = events
  const context = new DecideContext(1, command, Date.parse(receivedAt), metadata, aggregate.name, id, length)
  return decideUnchecked(aggregate, command, data, state, context, `data of command "${command}"`)
}

function stateAfter(aggregate: AnyAggregate, events: readonly Event[], id: string): unknown {
  let state = aggregate.initialState()
  for (const [i, { type, data }] of events.entries()) {
    const evolve = Object.hasOwn(aggregate.evolve, type) ? aggregate.evolve[type] : undefined
    if (evolve === undefined) {
      const message = `aggregate "${aggregate.name}" has no event ${JSON.stringify(type)}; given must name events that evolve knows: ${Object.keys(aggregate.evolve).join(', ') || 'none'}`
      throw new CommanderError('invalid_input', message)
    }
    state = evolve(state, data, { type, aggregate: { type: aggregate.name, id }, revision: i + 1 })
  }
  return state
}

function outcomeOf(decision: Decision): object {
  switch (decision.outcome) {
    case 'completed':
      return { events: decision.events.map(plainEvent) }
    case 'rejected':
      return { rejected: decision.code, message: decision.message, details: decision.details }
    default:
      return { failed: decision.message }
  }
}

const plainEvent = ({ type, data }: Event): Event => (data === undefined ? { type } : { type, data })

const isExpectedRejection = (value: unknown): value is ExpectedRejection =>
  typeof value === 'object' && value !== null && rejectionBrand in value

function assertRejected(what: string, decision: Decision, { code, details }: ExpectedRejection): undefined {
  if (decision.outcome !== 'rejected') return assertSame(what, outcomeOf(decision), { rejected: code })
  const actual = { rejected: decision.code, ...(details === undefined ? {} : { details: decision.details }) }
  return assertSame(what, actual, { rejected: code, ...(details === undefined ? {} : { details }) })
}

function assertSame(what: string, actual: unknown, expected: unknown): undefined {
  if (isDeepStrictEqual(actual, expected)) return undefined
  const told = { actual, expected, operator: 'deepStrictEqual', stackStartFn: assertSame }
  const message = `${what} came to something else:`
  const error = new AssertionError({ ...told, message })
  // Newer versions of Node add what differs to a message; older ones leave it as it is.
  if (error.message !== message) throw error
  const [, ...difference] = new AssertionError(told).message.split('\n')
  throw new AssertionError({ ...told, message: `${message}\n${difference.join('\n')}` })
}
