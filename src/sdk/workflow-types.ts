import type { AnyAggregate, CommandData, CommandName, RetryOptions } from './aggregate-types.ts'
import type { AnyQueue, WorkflowQueue } from './queue.ts'
import type { StandardSchema } from './standard-schema.ts'

/** What becomes of a request that fails in every attempt. */
export type RequestExhausted = 'park' | 'fail'

export interface RequestRetry extends RetryOptions {
  /**
   * After the last attempt: `park` (default) sets the workflow aside for a person, who has it go on from this request by
   * `workflow retry`; `fail` throws a `TerminalError` with the code `request_failed` into the workflow.
   */
  readonly onExhausted?: RequestExhausted
}

/** What an effect gets. */
export interface EffectContext {
  /**
   * The same in every attempt, and in no other request of any database: hand it to the other side as its idempotency key.
   * It begins with half of the id in `identity.json`, which a database that is restored from a backup has again.
   */
  readonly effectKey: string
  /** 1, 2, 3… A crash in the middle counts as an attempt. */
  readonly attempt: number
  /** Aborted when the time is over, the workflow is cancelled, or the process loses it. */
  readonly signal: AbortSignal
}

export type Effect<Result> = (context: EffectContext) => Result | Promise<Result>

export interface RequestOptions<Result> {
  /** Default: the workflow's. */
  readonly retry?: RequestRetry
  /** Longest time of one attempt, in milliseconds, 1 to 86,400,000. Default: no limit. */
  readonly timeoutMs?: number
  /**
   * Undoes the request: called, as a request of its own, when the workflow fails or is cancelled after this one was
   * completed. Compensations run in reverse order.
   */
  readonly compensate?: (result: Result, context: EffectContext) => unknown
}

/** How a command that a workflow executed ended. */
export type WorkflowCommandOutcome =
  | {
      readonly outcome: 'completed'
      readonly id: string
      readonly events: readonly { readonly type: string; readonly data: unknown }[]
    }
  | {
      readonly outcome: 'rejected'
      readonly id: string
      readonly code: string
      readonly message: string
      readonly details: unknown
    }
  | { readonly outcome: 'skipped'; readonly id: string; readonly message: string }

export interface WorkflowCommandOptions {
  /** Decide only if the aggregate is at this revision. */
  readonly expectedRevision?: number
  /**
   * A command on the same aggregate that undoes this one, should the workflow fail or be cancelled after this one was
   * completed. What it is rejected with is told in the workflow's error, as `notCompensated`.
   */
  readonly compensate?: { readonly command: string; readonly data?: unknown }
}

/** A child that was started. */
export interface ChildHandle<Output> {
  readonly id: string
  /** Its output. Throws a `TerminalError` with the code `child_failed` when it failed or was cancelled. */
  result(): Promise<Output>
  signal(name: string, data?: unknown): Promise<void>
  cancel(reason?: string): Promise<void>
}

/** A callback from outside. */
export interface Awakeable<Value> {
  /** Hand it to whoever calls back: by the client, the command line or HTTP. */
  readonly id: string
  readonly value: Promise<Value>
}

/**
 * What a workflow may do. Everything is recorded in the journal, and what was recorded is not done again: after a crash the
 * function runs from its beginning and finds the recorded results. Beside these calls it must be deterministic.
 */
export interface WorkflowContext {
  readonly workflow: { readonly name: string; readonly id: string; readonly version: number; readonly run: number }
  /**
   * A side effect with a recorded result. At least once outside, exactly one result inside; remembered by its name and
   * how often the name was used before.
   *
   * The result is a copy of what the effect returned, at most 1 MiB of MessagePack: plain objects, lists, text, numbers,
   * booleans, null, `Date` and `Uint8Array`; `undefined` comes back as null, or is left out of an object. Anything else (a
   * `Map`, a `Set`, an instance of a class, a `Buffer`, a bigint, a function) is refused. The same holds for all that is
   * recorded: inputs and results of workflows, data of commands and signals, answers to callbacks, what `setStatus` says.
   * @throws TerminalError what the effect threw as such, `result_invalid`, `request_failed`, `cancelled`, `timeout`
   */
  request<Result>(name: string, effect: Effect<Result>, options?: RequestOptions<Result>): Promise<Result>
  /** Executes a command, once; the outcome is recorded. A rejection is an outcome, no error. */
  command<A extends AnyAggregate, Name extends CommandName<A>>(
    aggregate: A,
    id: string,
    command: Name,
    data: CommandData<A, Name>,
    options?: WorkflowCommandOptions,
  ): Promise<WorkflowCommandOutcome>
  command(
    aggregate: string,
    id: string,
    command: string,
    data?: unknown,
    options?: WorkflowCommandOptions,
  ): Promise<WorkflowCommandOutcome>
  /** A durable timer: the workflow takes no memory meanwhile. 0 or more. */
  sleep(ms: number): Promise<void>
  sleepUntil(date: Date | string): Promise<void>
  /** The next signal of this name, in the order in which they came. @throws TerminalError `timeout`, `cancelled` */
  signal<Data = unknown>(name: string, options?: { readonly timeoutMs?: number }): Promise<Data>
  awakeable<Value = unknown>(): Awakeable<Value>
  /** Resolves when the child is started. @throws TerminalError `conflict` */
  startChild<W extends AnyWorkflow>(workflow: W, id: string, input: InputOf<W>): Promise<ChildHandle<OutputOf<W>>>
  /** Starts a child and waits for its output. @throws TerminalError `child_failed`, `conflict` */
  executeChild<W extends AnyWorkflow>(workflow: W, id: string, input: InputOf<W>): Promise<OutputOf<W>>
  all<T extends readonly unknown[] | []>(values: T): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }>
  race<T extends readonly unknown[] | []>(values: T): Promise<Awaited<T[number]>>
  any<T extends readonly unknown[] | []>(values: T): Promise<Awaited<T[number]>>
  /** The time of the workflow, in milliseconds since 1970: goes on with what is recorded. Use it instead of the clock. */
  now(): number
  /** Uniform in [0, 1), the same when the function runs again. */
  random(): number
  /** A version 4 UUID, the same when the function runs again. */
  uuid(): string
  /** Says how far it is, to be read from outside. */
  setStatus(value: unknown): void
  readonly isCancelled: boolean
  /** Aborted when the workflow is cancelled. */
  readonly abortSignal: AbortSignal
  /**
   * For changing code while workflows are under way: false in those that had passed this place before the change, true in
   * all others. Keep the old code until none of the former is left.
   */
  patched(id: string): boolean
  /** Ends this run and begins the next one, under the same id, with an empty history. Never returns. */
  continueAsNew(input: unknown): never
}

export interface WorkflowDefinition<Name extends string, Input, Output> {
  /** 1 to 118 characters: a letter, then letters, digits, `_`, `.` or `-`. Stored with every workflow: never rename. */
  readonly name: Name
  /** 1 to 65,535. A workflow stays on the version that it was started with. Default 1. */
  readonly version?: number
  /** Standard Schema of the input, checked before a workflow is started. */
  readonly input?: StandardSchema<unknown, Input>
  /** Standard Schema of the output, checked before the workflow is completed. */
  readonly output?: StandardSchema<unknown, Output>
  /** For its requests that say nothing else. Default: 5 attempts, 100 ms doubling up to 10 s, then park. */
  readonly retry?: RequestRetry
  /** Longest time of a workflow from its start, in milliseconds; then it fails with `timeout`. Default: no limit. */
  readonly timeoutMs?: number
  /**
   * How many of them are under way at once, and how fast they are started, over the whole database. Default: no limits.
   * In front of `run` the input of `partitionKey` needs its type written out.
   */
  readonly queue?: WorkflowQueue<Input>
  readonly run: (context: WorkflowContext, input: Input) => Promise<Output>
}

export const workflowBrand: unique symbol = Symbol.for('commanderdb.workflow') as never

/** A checked definition with every default filled in, frozen. */
export interface Workflow<Name extends string, Input, Output> {
  readonly [workflowBrand]: true
  readonly name: Name
  readonly version: number
  readonly input?: StandardSchema<unknown, Input>
  readonly output?: StandardSchema<unknown, Output>
  readonly retry: Required<RequestRetry>
  readonly timeoutMs: number | null
  readonly queue?: AnyQueue
  readonly run: WorkflowDefinition<Name, Input, Output>['run']
  /** Exists for the compiler only. */
  readonly inferred?: { readonly input: Input; readonly output: Output }
}

/** Methods are compared bivariantly: that makes every workflow an `AnyWorkflow`, and lets the runtime call it. */
interface AnyRun {
  run(context: WorkflowContext, input: unknown): Promise<unknown>
}

export interface AnyWorkflow {
  readonly [workflowBrand]: true
  readonly name: string
  readonly version: number
  readonly input?: StandardSchema
  readonly output?: StandardSchema
  readonly retry: Required<RequestRetry>
  readonly timeoutMs: number | null
  readonly queue?: AnyQueue
  readonly run: AnyRun['run']
  readonly inferred?: { readonly input: unknown; readonly output: unknown }
}

export type InputOf<W extends AnyWorkflow> = NonNullable<W['inferred']>['input']
export type OutputOf<W extends AnyWorkflow> = NonNullable<W['inferred']>['output']
