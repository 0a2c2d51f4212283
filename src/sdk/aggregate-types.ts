import type { AnyQueue, CommandQueue } from './queue.ts'
import type { StandardSchema } from './standard-schema.ts'

/** What a command's decision may depend on besides its data and the state: all of it is the same when it is decided again. */
export interface CommandContext {
  readonly command: {
    readonly id: string
    /** The command's place in the order of everything. */
    readonly lsn: number
    readonly type: string
    /** When the database received the command: ISO 8601, UTC. Use this instead of the clock. */
    readonly receivedAt: string
    /** What the client sent along, for example trace ids. */
    readonly metadata: Readonly<Record<string, string>>
  }
  readonly aggregate: {
    readonly type: string
    readonly id: string
    /** Number of the latest event that `state` has folded in; 0 for a new aggregate. */
    readonly revision: number
  }
  /** Uniform in [0, 1), seeded by the command. Use this instead of `Math.random`. */
  random(): number
  /** A version 4 UUID, seeded by the command. Use this instead of `crypto.randomUUID`. */
  uuid(): string
}

/**
 * What `evolve` learns about an event besides its data. It has no LSN, time or global position: an application folds
 * its own events before the journal has written them. A time that matters belongs into the event's data.
 */
export interface EvolveEvent {
  readonly type: string
  readonly aggregate: { readonly type: string; readonly id: string }
  readonly revision: number
}

/** `data` may be left out where `evolve` does not look at it. */
type EventData<Data> = unknown extends Data
  ? { readonly data?: Data }
  : undefined extends Data
    ? { readonly data?: Data }
    : { readonly data: Data }

/** Union of the events that `evolve` knows, each with its own data. */
export type EventOf<Events> = {
  readonly [Type in keyof Events]: { readonly type: Type } & EventData<Events[Type]>
}[keyof Events]

/** The literals in a value that is expected to be one of these are not widened: `{ kind: 'cash' }` stays what it is. */
type Literal = '' | 0 | true | null | readonly Literal[] | { readonly [key: string]: Literal }

/** Any value, literals kept until they are compared with the event's own type. With `keyof Events`: no `as const`. */
type Unwidened = Literal | NonNullable<unknown> | undefined

type Emission<Events> = { readonly type: keyof Events; readonly data?: Unwidened } & EventOf<Events>

/** What `decide` may return: one event or a list, possibly empty. */
export type Decision<Events> = Emission<Events> | readonly Emission<Events>[]

export type DecideHandler<Data, State, Events> = (data: Data, state: State, context: CommandContext) => Decision<Events>

export type EvolveHandler<State, Data> = (state: State, data: Data, event: EvolveEvent) => State

/** `never`, but the compiler cannot tell as long as it is still inferring `State`. */
type NeverOnceKnown<State, Until> = State extends unknown ? never : Until

/**
 * The same as `EvolveHandler<State, Data>` once `State` is known. Until then it keeps the compiler from widening the
 * literals in what a handler returns: `({ status: 'closed' })`, or a plain `'closed'`.
 */
type ContextualEvolveHandler<State, Data> = (
  state: NoInfer<State>,
  data: Data,
  event: EvolveEvent,
) => NoInfer<State> | NeverOnceKnown<State, Literal> | `${NeverOnceKnown<State, string>}`

/** Methods are compared bivariantly, so that a user may annotate `data` as what old events held. */
interface UpcastMethod<Events> {
  upcast(data: unknown, version: number): Emission<Events>
}

export type UpcastHandler<Events> = UpcastMethod<Events>['upcast']

/** What becomes of a command that fails in every attempt. */
export type OnExhausted = 'blockAggregate' | 'parkCommand'

export interface RetryOptions {
  /** Attempts in total, 1 to 100. Default 5. */
  readonly maxAttempts?: number
  /** Pause before the second attempt, in milliseconds, 0 to 3,600,000; it doubles each time. Default 100. */
  readonly initialDelayMs?: number
  /** Longest pause, in milliseconds, up to 3,600,000. Default 10,000. */
  readonly maxDelayMs?: number
}

export interface AggregateOptions<Commands, Events> {
  /**
   * Standard Schemas (zod, valibot…) by command and event name. A command's data is checked before the command is
   * accepted, an event's data before it is written; either gives `schema_violation`.
   */
  readonly schemas?: {
    readonly commands?: { readonly [Name in keyof Commands]?: StandardSchema<unknown, Commands[Name]> }
    readonly events?: { readonly [Type in keyof Events]?: StandardSchema<unknown, Events[Type]> }
  }
  /** Version of the shape of this aggregate's events, 1 or more, written with each of them. Default 1. */
  readonly version?: number
  /**
   * By the type an event was stored under: turns an event that was written under an older `version` into one of
   * today's. Called before `evolve` and projections see it; the journal keeps what was written.
   */
  readonly upcast?: Readonly<Record<string, UpcastHandler<Events>>>
  /** How long an idempotency key is remembered, in milliseconds, 0 (not at all) to a year. Default 86,400,000: a day. */
  readonly idempotencyTtlMs?: number
  readonly retry?: RetryOptions
  /**
   * After the last attempt: `parkCommand` (default) sets the command aside for a person and goes on with the next one;
   * `blockAggregate` sets it aside and holds back all that follows on the same aggregate until a person retries or
   * skips it. The default is to park, because a command that fails every time is mostly a bad command, and one bad
   * command must not stop an account. Block where a later command must never overtake an earlier one.
   */
  readonly onExhausted?: OnExhausted
  /**
   * By command name: how many of them are under way at once, and how fast they are started, over the whole database. A
   * command that waits holds back those behind it on its aggregate. It has its slot until it ends, over all attempts.
   */
  readonly queues?: { readonly [Name in keyof Commands]?: CommandQueue<Commands[Name]> }
  /** A snapshot of the state is saved every so many events; 0 means never. Default 500. */
  readonly snapshotEvery?: number
}

export interface AggregateDefinition<Name extends string, State, Commands, Events>
  extends AggregateOptions<NoInfer<Commands>, NoInfer<Events>> {
  /** 1 to 128 characters: a letter, then letters, digits, `_`, `.` or `-`. Stored with every event: never rename. */
  readonly name: Name
  /** The state before the first event. Called for every aggregate instance; must return a fresh value. */
  readonly initialState: () => State
  /**
   * By command name: looks at the data and the state and returns one event or a list of them; an empty list means that
   * there is nothing to do. Must be synchronous and deterministic. Throws `CommandRejected` to say no.
   */
  readonly decide: {
    readonly [Command in keyof Commands]: DecideHandler<Commands[Command], NoInfer<State>, NoInfer<Events>>
  }
  /** By event type: the state after the event. Must be synchronous and deterministic, and must never throw. */
  readonly evolve: {
    readonly [Type in keyof Events]: ContextualEvolveHandler<State, Events[Type]>
  }
}

interface AggregateDefaults {
  readonly version: number
  readonly idempotencyTtlMs: number
  readonly onExhausted: OnExhausted
  readonly snapshotEvery: number
  readonly retry: Required<RetryOptions>
}

export const aggregateBrand: unique symbol = Symbol.for('commanderdb.aggregate') as never

/** A checked definition with every default filled in, frozen. */
export interface Aggregate<Name extends string, State, Commands, Events>
  extends Omit<AggregateOptions<Commands, Events>, keyof AggregateDefaults>,
    AggregateDefaults {
  readonly [aggregateBrand]: true
  readonly name: Name
  readonly initialState: () => State
  /** Has no prototype: names from outside may be looked up in it, as in `evolve`, `upcast` and `schemas`. */
  readonly decide: { readonly [Command in keyof Commands]: DecideHandler<Commands[Command], State, Events> }
  readonly evolve: { readonly [Type in keyof Events]: EvolveHandler<State, Events[Type]> }
  /** Exists for the compiler only: carries the inferred types. */
  readonly inferred?: { readonly state: State; readonly commands: Commands; readonly events: Events }
}

/**
 * `Aggregate<Name, State, Commands, Events>`, but the compiler cannot look into it while it infers these: where an
 * aggregate is expected, as in a list of them, that expectation would otherwise count as evidence and widen literals.
 */
export type InferredAggregate<Name extends string, State, Commands, Events> = [Name, State, Commands, Events] extends [
  infer N extends string,
  infer S,
  infer C,
  infer E,
]
  ? Aggregate<N, S, C, E>
  : never

/** One event as `decide` returns it, without its types. */
export interface DecidedEvent {
  readonly type: string
  readonly data?: unknown
}

/** Methods are compared bivariantly: that makes every aggregate an `AnyAggregate`, and lets the runtime call it. */
interface AnyMethods {
  decide(data: unknown, state: unknown, context: CommandContext): DecidedEvent | readonly DecidedEvent[]
  evolve(state: unknown, data: unknown, event: EvolveEvent): unknown
  upcast(data: unknown, version: number): DecidedEvent
}

/** An aggregate whose types are not known: what the runtime works with. Look up handlers by own name only. */
export interface AnyAggregate extends AggregateDefaults {
  readonly [aggregateBrand]: true
  readonly name: string
  readonly initialState: () => unknown
  readonly decide: Readonly<Record<string, AnyMethods['decide']>>
  readonly evolve: Readonly<Record<string, AnyMethods['evolve']>>
  readonly upcast?: Readonly<Record<string, AnyMethods['upcast']>>
  readonly schemas?: {
    readonly commands?: Readonly<Record<string, StandardSchema | undefined>>
    readonly events?: Readonly<Record<string, StandardSchema | undefined>>
  }
  readonly queues?: Readonly<Record<string, AnyQueue | undefined>>
  readonly inferred?: {
    readonly state: unknown
    readonly commands: Readonly<Record<string, unknown>>
    readonly events: Readonly<Record<string, unknown>>
  }
}

type InferredOf<A extends AnyAggregate> = NonNullable<A['inferred']>

/** The state that the aggregate's events fold to. */
export type StateOf<A extends AnyAggregate> = InferredOf<A>['state']
/** Command names, each with its data. */
export type CommandsOf<A extends AnyAggregate> = InferredOf<A>['commands']
/** Event types, each with its data. */
export type EventsOf<A extends AnyAggregate> = InferredOf<A>['events']
/** Names of the aggregate's commands. */
export type CommandName<A extends AnyAggregate> = keyof CommandsOf<A> & string
/** The data that the command takes. */
export type CommandData<A extends AnyAggregate, Name extends CommandName<A>> = CommandsOf<A>[Name]
