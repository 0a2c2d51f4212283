import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { Scope } from '../sdk/config.ts'
import type { ApplyWaiter } from './apply-waiter.ts'
import type { Gateway } from './gateway.ts'
import type { ProblemBody, ProtocolStatus } from './http-problem.ts'
import type { Queries } from './queries.ts'
import type { StreamOperations } from './stream-operations.ts'
import type { WorkflowReads } from './workflow-reads.ts'

/** A JSON Schema, as OpenAPI 3.1 takes it. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly default?: unknown
  readonly format?: string
  readonly additionalProperties?: boolean
  readonly $ref?: string
}

/** The answer to one request. Exactly one of `json`, `text`, `problem`, `fail` and `stream` is called, once. */
export interface HttpExchange {
  /** Decoded path segments. */
  readonly params: Readonly<Record<string, string>>
  /** As the route's schema converted them. */
  readonly query: Readonly<Record<string, string | number | undefined>>
  /** The body's JSON; undefined when there is none. */
  readonly body: unknown
  /** @param name in lower case */
  header(name: string): string | undefined
  /** False once the client is gone: the answer would reach nobody. */
  readonly isOpen: boolean
  /** Calls `run` once, when the answer has left or the client is gone. */
  onClosed(run: () => void): void
  json(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void
  text(status: number, body: string, contentType: string): void
  problem(body: ProblemBody, headers?: Readonly<Record<string, string>>): void
  fail(error: unknown, status?: ProtocolStatus): void
  stream(contentType: string, headers?: Readonly<Record<string, string>>): HttpStream
}

/** An answer of unknown length. */
export interface HttpStream {
  /** False: enough for now, until `onDrain` says so. What is written after that is kept all the same. */
  write(text: string): boolean
  onDrain(run: () => void): void
  end(): void
  /** Cuts the connection: after its first bytes an answer can say no other way that it is not whole. */
  fail(error: unknown): void
}

export type Parameters = Readonly<Record<string, JsonSchema>>

/** One route: the server's router, its checks and the OpenAPI document are all made of this. */
export interface HttpRoute {
  readonly method: 'GET' | 'POST'
  /** As OpenAPI writes it: `/v1/commands/{id}:retry`. */
  readonly path: string
  readonly operation: string
  readonly summary: string
  readonly description?: string
  /** A token needs one of these; null: open to everybody. */
  readonly scopes: readonly Scope[] | null
  readonly params?: Parameters
  readonly query?: Parameters
  readonly requiredQuery?: readonly string[]
  readonly headers?: Parameters
  /** Schema of the body; undefined: there is none. */
  readonly body?: JsonSchema
  /** By status; errors that every route may answer are left out. */
  readonly answers: Readonly<Record<string, HttpAnswer>>
  /** The answer has no end of its own. */
  readonly streams?: true
  handle(exchange: HttpExchange): void
}

export interface HttpAnswer {
  readonly description: string
  /** By content type. Default: a problem, where the status is 400 or more. */
  readonly content?: Readonly<Record<string, JsonSchema>>
  readonly headers?: Parameters
}

export type HttpGateway = Pick<
  Gateway,
  | 'admission'
  | 'state'
  | 'marks'
  | 'refusal'
  | 'submit'
  | 'operate'
  | 'onApplied'
  | 'awaitEnd'
  | 'forgetWaits'
  | 'endsWaitedFor'
>
export type HttpQueries = Pick<
  Queries,
  | 'archived'
  | 'log'
  | 'state'
  | 'stream'
  | 'blockEvents'
  | 'projection'
  | 'projections'
  | 'command'
  | 'commands'
  | 'pendingStart'
  | 'present'
  | 'retryable'
  | 'skippable'
>

/** What the routes work with. */
export interface HttpContext {
  readonly environment: Environment
  readonly gateway: HttpGateway
  readonly queries: HttpQueries
  readonly waiter: Pick<ApplyWaiter, 'wait' | 'waitFor'>
  readonly streams: Pick<StreamOperations, 'life' | 'archive' | 'close' | 'delete'>
  readonly workflows: Pick<WorkflowReads, 'view' | 'record' | 'list'>
  readonly rebuild: (name: string, done: (error: CommanderError | null) => void) => void
  readonly status: () => Promise<unknown>
  /** In the text format of Prometheus. */
  readonly metrics: () => Promise<string>
  readonly version: string
}
